"""AES as Gufo's encrypted values have it (SPEC 16.1), a second time and without a library, so that
what Otus reads was not written by Otus. Slow, and for nothing but tests."""
import base64
import os


def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        p &= 0xFF
        for shift in (1, 2, 4):
            q ^= q << shift
        q &= 0xFF
        q ^= 0x09 if q & 0x80 else 0
        box[p] = 0x63 ^ q ^ _turn(q, 1) ^ _turn(q, 2) ^ _turn(q, 3) ^ _turn(q, 4)
        if p == 1:
            box[0] = 0x63
            return box


def _turn(byte, by):
    return ((byte << by) | (byte >> (8 - by))) & 0xFF


BOX = _sbox()


def _double(byte):
    return ((byte << 1) ^ (0x1B if byte & 0x80 else 0)) & 0xFF


def _keys(key):
    words = [list(key[at:at + 4]) for at in range(0, len(key), 4)]
    count, size, factor = len(words) + 7, len(words), 1
    for at in range(size, 4 * count):
        word = list(words[-1])
        if at % size == 0:
            word = [BOX[byte] for byte in word[1:] + word[:1]]
            word[0] ^= factor
            factor = _double(factor)
        elif size > 6 and at % size == 4:
            word = [BOX[byte] for byte in word]
        words.append([a ^ b for a, b in zip(words[at - size], word)])
    return [sum(words[4 * at:4 * at + 4], []) for at in range(count)]


def block(key, data):
    """One block, encrypted."""
    keys = _keys(key)
    state = [a ^ b for a, b in zip(data, keys[0])]
    for turn in keys[1:]:
        state = [BOX[state[(4 * (at // 4) + 5 * (at % 4)) % 16]] for at in range(16)]
        if turn is not keys[-1]:
            mixed = []
            for at in range(0, 16, 4):
                a = state[at:at + 4]
                whole = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ whole ^ _double(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, turn)]
    return bytes(state)


def _ghash(key, data):
    h, y = int.from_bytes(block(key, bytes(16)), "big"), 0
    for at in range(0, len(data), 16):
        y ^= int.from_bytes(data[at:at + 16].ljust(16, b"\0"), "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            z ^= v if y >> bit & 1 else 0
            v = (v >> 1) ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def gcm(key, nonce, text):
    """The ciphertext with its tag."""
    out = b""
    for at in range(0, len(text), 16):
        counter = nonce + (at // 16 + 2).to_bytes(4, "big")
        out += _xor(text[at:at + 16], block(key, counter))
    lengths = bytes(8) + (len(out) * 8).to_bytes(8, "big")
    padded = out + bytes(-len(out) % 16)
    return out + _xor(_ghash(key, padded + lengths), block(key, nonce + b"\0\0\0\1"))


def seal(key, text):
    """The form of today: `$2a##` and nonce, ciphertext and tag in base64."""
    nonce = os.urandom(12)
    return "$2a##" + base64.b64encode(nonce + gcm(key, nonce, text)).decode()


def seal_cfb(key, text):
    """The form of old: IV and AES-CFB of what is padded as PKCS#7, base64url without padding."""
    pad = 16 - len(text) % 16
    text += bytes([pad]) * pad
    out = last = os.urandom(16)
    for at in range(0, len(text), 16):
        last = _xor(text[at:at + 16], block(key, last))
        out += last
    return "$2a##" + base64.urlsafe_b64encode(out).rstrip(b"=").decode()


if __name__ == "__main__":
    # FIPS 197 C.1, and test case 3 of the GCM specification.
    assert block(bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")).hex() \
        == "69c4e0d86a7b0430d8cdb78070b4c55a"
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
    text = bytes.fromhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")
    assert gcm(key, bytes.fromhex("cafebabefacedbaddecaf888"), text).hex().endswith(
        "4d5c2af327cd64a62cf35abd2ba6fab4")
    print("as published")
