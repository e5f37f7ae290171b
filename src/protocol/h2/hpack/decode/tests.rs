use std::fs;
use std::path::Path;

use super::*;
use crate::base::prng::Prng;
use crate::protocol::h2::hpack::encode;

type Pairs = Vec<(String, String)>;

#[test]
fn the_literals_of_rfc_7541_appendix_c_2_are_read() {
    check("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55);
    check("040c2f73616d706c652f70617468", ":path: /sample/path", 0);
    check("100870617373776f726406736563726574", "password: secret", 0);
    check("82", ":method: GET", 0);
}

#[test]
fn the_requests_of_rfc_7541_appendix_c_3_and_c_4_are_read() {
    let first = ":method: GET|:scheme: http|:path: /|:authority: www.example.com";
    let second =
        ":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache";
    let third = ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|\
                 custom-key: custom-value";
    story(
        4096,
        &[
            ("828684410f7777772e6578616d706c652e636f6d", first, 57),
            ("828684be58086e6f2d6361636865", second, 110),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", third, 164),
        ],
    );
    story(
        4096,
        &[
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", first, 57),
            ("828684be5886a8eb10649cbf", second, 110),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", third, 164),
        ],
    );
}

#[test]
fn the_responses_of_rfc_7541_appendix_c_6_evict_entries() {
    let tail = "cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|\
                location: https://www.example.com";
    let third = ":status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 GMT|\
                 location: https://www.example.com|content-encoding: gzip|\
                 set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    story(
        256,
        &[
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad\
                 171863c78f0b97c8e9ae82ae43d3",
                &format!(":status: 302|{tail}"),
                222,
            ),
            ("4883640effc1c0bf", &format!(":status: 307|{tail}"), 222),
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2\
                 e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                third,
                215,
            ),
        ],
    );
}

#[test]
fn malformed_blocks_are_refused() {
    refused("80", DecodeError::Index);
    refused("be", DecodeError::Index);
    refused("7e00", DecodeError::Index);
    refused("ff80808080", DecodeError::Truncated);
    refused("ff8080808080", DecodeError::IntegerTooLarge);
    refused("ffffffffff0f", DecodeError::IntegerTooLarge);
    refused("ff8080808000", DecodeError::Index);
    refused("4001", DecodeError::Truncated);
    refused("40016101", DecodeError::Truncated);
    refused("400161", DecodeError::Truncated);
    refused("4081ff00", DecodeError::Huffman);
    refused("8220", DecodeError::SizeUpdateLate);
    refused("3fe21f", DecodeError::SizeUpdateTooLarge);
    refused("20202082", DecodeError::SizeUpdates);
}

#[test]
fn the_peer_may_shrink_the_table_and_grow_it_within_the_limit() {
    let mut decoder = Decoder::new(4096);
    let mut fields = Fields::new(4096);
    let mut decode = |text: &str| decoder.decode(&hex(text), &mut fields).map(|()| fields.len());
    assert_eq!(decode("4001610162"), Ok(1));
    assert_eq!(decode("be"), Ok(1));
    assert_eq!(decode("20be"), Err(DecodeError::Index));
    assert_eq!(decode("203fe11f4001610162be"), Ok(2));
    decoder.set_limit(0);
    let mut decode = |text: &str| decoder.decode(&hex(text), &mut fields).map(|()| fields.len());
    assert_eq!(decode("be"), Err(DecodeError::Index));
    assert_eq!(decode("21"), Err(DecodeError::SizeUpdateTooLarge));
    // To remember something in a table of no size is in order; it is just not there later.
    assert_eq!(decode("204001610162"), Ok(1));
}

#[test]
fn a_list_beyond_its_bound_is_decoded_without_being_kept() {
    let mut decoder = Decoder::new(4096);
    let mut fields = Fields::new(100);
    // Two fit (34 each); the third is remembered by the table though it is not kept.
    assert_eq!(decoder.decode(&hex("400161016200016101620001610162"), &mut fields), Ok(()));
    assert!(fields.is_too_large());
    assert_eq!((fields.len(), fields.size()), (2, 68));
    let mut bomb = hex("400161016282");
    bomb.extend([0xbe; 10_000]);
    assert_eq!(decoder.decode(&bomb, &mut fields), Ok(()));
    assert!(fields.is_too_large() && fields.size() <= 100);
    assert_eq!(decoder.decode(&hex("be"), &mut fields), Ok(()));
    assert!(!fields.is_too_large());
    assert_eq!(fields.get(b"a"), Some(b"b".as_slice()));
}

#[test]
fn any_cut_block_is_refused_or_a_shorter_list() {
    let block = hex("828684418cf1e3c2e5f23a6ba0ab90f4ff5886a8eb10649cbf400a637573746f6d2d6b65790c\
         637573746f6d2d76616c7565");
    let mut whole = Fields::new(4096);
    Decoder::new(4096).decode(&block, &mut whole).unwrap();
    let whole = pairs(&whole);
    for cut in 0..block.len() {
        let mut fields = Fields::new(4096);
        match Decoder::new(4096).decode(&block[..cut], &mut fields) {
            Ok(()) => assert!(whole.starts_with(&pairs(&fields)), "{cut}"),
            Err(error) => assert_eq!(error, DecodeError::Truncated, "{cut}"),
        }
    }
}

#[test]
fn random_bytes_neither_panic_nor_grow() {
    let mut prng = Prng::new(11);
    let mut decoder = Decoder::new(512);
    let mut fields = Fields::new(1000);
    for _ in 0..50_000 {
        let mut block = vec![0; usize::try_from(prng.below(60)).unwrap()];
        prng.fill(&mut block);
        let _ = decoder.decode(&block, &mut fields);
        decoder.table().check();
        assert!(fields.size() <= 1000);
    }
}

#[test]
fn what_our_encoder_writes_is_read_back() {
    let mut prng = Prng::new(13);
    let mut decoder = Decoder::new(0);
    let mut fields = Fields::new(1 << 20);
    for _ in 0..3000 {
        let mut block = Vec::new();
        let mut want = Vec::new();
        for _ in 0..prng.below(20) {
            let (name, value) = field(&mut prng);
            match prng.below(3) {
                0 => encode::field(&mut block, &name, &value),
                1 => encode::field_compact(&mut block, &name, &value),
                _ => encode::field_sensitive(&mut block, &name, &value),
            }
            want.push((name, value));
        }
        decoder.decode(&block, &mut fields).unwrap();
        let seen: Vec<_> = fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(seen, want);
    }
}

/// The stories that other encoders wrote, where they lie beside this repository.
#[test]
fn the_stories_of_other_encoders_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/data/hpack");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: no stories in {}", folder.display());
        return;
    };
    let mut cases = 0;
    for file in files {
        let path = file.unwrap().path();
        let story: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut decoder = Decoder::new(4096);
        for case in story["cases"].as_array().unwrap() {
            if let Some(size) = case["header_table_size"].as_u64() {
                decoder.set_limit(u32::try_from(size).unwrap());
            }
            let mut fields = Fields::new(1 << 20);
            let wire = hex(case["wire"].as_str().unwrap());
            decoder.decode(&wire, &mut fields).unwrap_or_else(|e| panic!("{path:?}: {e:?}"));
            decoder.table().check();
            let want: Pairs = case["headers"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|field| field.as_object().unwrap())
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            assert_eq!(pairs(&fields), want, "{path:?} {}", case["seqno"]);
            cases += 1;
        }
    }
    println!("{cases} header blocks of other encoders");
    assert!(cases > 100);
}

fn field(prng: &mut Prng) -> (Vec<u8>, Vec<u8>) {
    use crate::protocol::h2::hpack::table::STATIC;
    let entry = STATIC[usize::try_from(prng.below(61)).unwrap()];
    let mut name = entry.0.to_vec();
    let mut value = entry.1.to_vec();
    if prng.one_in(2) {
        name = vec![b'x'; usize::try_from(prng.below(200)).unwrap()];
    }
    if prng.one_in(2) {
        value = vec![0; usize::try_from(prng.below(400)).unwrap()];
        prng.fill(&mut value);
    }
    (name, value)
}

/// Decodes one block; `table` is the size of the dynamic table after it.
#[track_caller]
fn check(block: &str, want: &str, table: usize) {
    story(4096, &[(block, want, table)]);
}

#[track_caller]
fn story(size: u32, blocks: &[(&str, &str, usize)]) {
    let mut decoder = Decoder::new(size);
    let mut fields = Fields::new(4096);
    for (block, want, table) in blocks {
        assert_eq!(decoder.decode(&hex(block), &mut fields), Ok(()));
        let seen: Vec<String> =
            pairs(&fields).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(seen.join("|"), *want);
        assert_eq!(decoder.table().size(), *table);
        decoder.table().check();
    }
}

#[track_caller]
fn refused(block: &str, want: DecodeError) {
    let mut decoder = Decoder::new(4096);
    assert_eq!(decoder.decode(&hex(block), &mut Fields::new(4096)), Err(want), "{block}");
}

fn pairs(fields: &Fields) -> Pairs {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
