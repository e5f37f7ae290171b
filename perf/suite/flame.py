"""Where the time of a gateway goes, as a flame graph: samples of perf(1), drawn as SVG."""
import re
import shutil
import subprocess
import time
from html import escape

WIDTH, ROW, HZ, SECS = 1200, 17, 997, 4


def sampled(suite, one):
    """{(outermost frame, …, innermost): samples}, while the gateway works as in W1."""
    data = f"{one.folder.name}/samples"
    tracer = subprocess.Popen(
        [shutil.which("perf"), "record", "-q", "-F", str(HZ), "-e", "cpu-clock", "-g", "-o", data,
         "-p", ",".join(map(str, one.pids)), "--", "sleep", str(SECS)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    address = f"127.0.0.1:{one.port}"
    suite.load.run(["get", address, "/fixed", 64, 0, 0, SECS], lambda: 0)
    _, fault = tracer.communicate(timeout=60)
    if tracer.returncode:
        raise RuntimeError(f"perf: {(fault.strip().splitlines() or ['?'])[-1]}")
    said = subprocess.run([shutil.which("perf"), "script", "-F", "ip,sym", "-i", data],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return folded(said.stdout)


def folded(text):
    """Stacks of `perf script -F ip,sym`, innermost frame first, an empty line behind each."""
    stacks = {}
    for block in text.split("\n\n"):
        names = [re.sub(r"::h[0-9a-f]{16}$", "", line.split(None, 1)[1])
                 for line in block.splitlines() if len(line.split(None, 1)) == 2]
        if names:
            stack = tuple(reversed(names))
            stacks[stack] = stacks.get(stack, 0) + 1
    return stacks


def tree(stacks):
    """(samples, {name: such a node})."""
    root = [0, {}]
    for stack, count in stacks.items():
        node = root
        node[0] += count
        for name in stack:
            node = node[1].setdefault(name, [0, {}])
            node[0] += count
    return root


def paint(name):
    """Kernel and ours apart, neighbours a little different."""
    shade = sum(map(ord, name)) % 50
    if "::" in name:
        return f"rgb({230 - shade},{110 + shade},60)"
    return f"rgb(90,{140 + shade},{200 - shade})"


def boxes(node, x, depth, scale, out):
    """Appends what is above a node; the deepest level."""
    deepest = depth
    for name, child in sorted(node[1].items()):
        wide = child[0] * scale
        if wide >= 0.6:
            out.append((x, depth, wide, name, child[0]))
            deepest = max(deepest, boxes(child, x, depth + 1, scale, out))
        x += wide
    return deepest


def svg(stacks, title):
    root, out = tree(stacks), []
    deepest = boxes(root, 0, 0, WIDTH / max(1, root[0]), out)
    height = 40 + (deepest + 1) * ROW
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="11">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="8" y="18" font-size="14">{escape(title)}</text>']
    for x, depth, wide, name, count in out:
        y = height - (depth + 1) * ROW
        share = 100 * count / root[0]
        lines.append(f'<g><title>{escape(name)}: {share:.1f} %</title><rect x="{x:.1f}" y="{y}" '
                     f'width="{wide:.1f}" height="{ROW - 1}" fill="{paint(name)}"/>')
        if wide > 40:
            lines.append(f'<text x="{x + 3:.1f}" y="{y + 12}">'
                         f'{escape(name[:int(wide / 6.5)])}</text>')
        lines.append("</g>")
    return "\n".join([*lines, "</svg>\n"])


def draw(suite, one):
    """Writes flame-….svg into the record's folder; the row of this step."""
    stacks = sampled(suite, one)
    if not stacks:
        raise RuntimeError("perf has no samples")
    title = f"Otus in W1, {suite.control}: where its CPU goes, {sum(stacks.values())} samples"
    path = suite.record.folder / f"flame-{suite.control}.svg"
    path.write_text(svg(stacks, title))
    return {"noisy": False, "errors": 0, "samples": sum(stacks.values())}
