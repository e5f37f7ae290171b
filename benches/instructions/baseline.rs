//! What was counted, against what it was.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::ledger::{COUNTED_NAME, FIRST_DUMP, RUNS};

/// So many of a thousand instructions more than the baseline are too many.
const MORE_MAX: u64 = 20;
/// What is never too many: the compiler divides the crate by its path, too, and what is inlined
/// where moves a small case by some twenty instructions from one checkout to another.
const MORE_MIN: u64 = 64;

/// What one run of a case costs; both may have a fraction, since several runs are counted.
#[derive(Clone, PartialEq)]
struct Cost {
    name: String,
    /// `None`: nobody could count them.
    instructions: Option<u64>,
    /// Of all [`RUNS`] runs.
    allocations: u64,
}

/// Counts, prints and compares.
pub(crate) fn compare(only: Option<&str>, writes: bool) -> ExitCode {
    let found = match count(only) {
        Ok(found) => found,
        Err(fault) => return fail(&fault),
    };
    let toolchain = toolchain();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline.txt");
    let known = fs::read_to_string(&file).unwrap_or_default();
    if writes {
        if only.is_some() || found.iter().any(|cost| cost.instructions.is_none()) {
            return fail("a baseline is of all cases, and of instructions: it wants valgrind");
        }
        print(&found, &[]);
        return fs::write(&file, text(&toolchain, &found))
            .map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS);
    }
    let of = known.lines().find_map(|line| line.strip_prefix("for: ")).unwrap_or("nothing");
    let is_same = of == toolchain;
    let baseline: Vec<Cost> = known.lines().filter_map(parse).collect();
    print(&found, &baseline);
    if !is_same {
        println!("\nthe baseline is for {of}\nthis is              {toolchain}");
        println!("instructions are not compared");
    } else if found.iter().any(|cost| cost.instructions.is_none()) {
        println!("\nno valgrind: instructions are not compared");
    }
    let faults = faults(&found, &baseline, is_same, only.is_some());
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    fail(&format!(
        "{}\nWhat grew for a good reason is accepted with `scripts/bench --write`, and its reason \
         said in the commit.\nWhere the instructions went: valgrind --tool=callgrind, see \
         perf/README.md.",
        faults.join("\n")
    ))
}

fn fail(what: &str) -> ExitCode {
    eprintln!("\nFAILED:\n{what}");
    ExitCode::FAILURE
}

/// What a count of instructions depends on beside the source. A baseline holds for one of these.
fn toolchain() -> String {
    let says = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
    };
    // Both choose among ways to copy and to compare by what the processor can.
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::is_x86_feature_detected!("avx2") { "avx2" } else { "no avx2" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = std::env::consts::ARCH;
    format!(
        "{}, {}, cc {}, {}, {vectors}",
        says("rustc", &["-V"]),
        says("getconf", &["GNU_LIBC_VERSION"]),
        says("cc", &["-dumpfullversion"]),
        says("valgrind", &["--version"]),
    )
}

/// Runs this program again, under callgrind if there is one.
fn count(only: Option<&str>) -> Result<Vec<Cost>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = Folder::new()?;
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    let mut command = if has_valgrind {
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--zero-before={COUNTED_NAME}"))
            .arg(format!("--dump-after={COUNTED_NAME}"))
            .arg(format!("--callgrind-out-file={}/out", folder.0.display()))
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.arg(crate::COUNTED).args(only).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the cases did not run to their end: {}", output.status));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for (line, number) in lines.lines().zip(FIRST_DUMP..) {
        let (allocations, name) = line.split_once(' ').ok_or("a line without a name")?;
        let allocations = allocations.parse().map_err(|_| format!("no number: {line}"))?;
        let instructions = has_valgrind.then(|| folder.summary(number)).transpose()?;
        let instructions = instructions.map(|all: u64| all.div_ceil(RUNS));
        found.push(Cost { name: name.to_owned(), instructions, allocations });
    }
    Ok(found)
}

/// Where callgrind writes; removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("otus-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        Ok(Folder(path))
    }

    /// The instructions of a dump.
    fn summary(&self, number: u32) -> Result<u64, String> {
        let file = self.0.join(format!("out.{number}"));
        let text =
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
        line.and_then(|line| line.trim().parse().ok()).ok_or("a dump without a sum".to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(toolchain: &str, found: &[Cost]) -> String {
    let mut out = String::from(
        "# What one run of each case costs: instructions, allocations, name. Compared by\n\
         # `scripts/bench`, which fails at 2 % more instructions or any more allocations;\n\
         # written by `scripts/bench --write`. Instructions are compared with this only:\n",
    );
    let _ = writeln!(out, "for: {toolchain}");
    for Cost { name, instructions, allocations } in found {
        let (instructions, each) = (instructions.unwrap_or(0), hundredths(*allocations));
        let _ = writeln!(out, "{instructions:>9} {each:>7} {name}");
    }
    out
}

/// Allocations of one run, of which a case may have less than one.
fn hundredths(all: u64) -> String {
    let each = all * 100 / RUNS;
    format!("{}.{:02}", each / 100, each % 100)
}

fn parse(line: &str) -> Option<Cost> {
    let (instructions, rest) = line.trim_start().split_once(' ')?;
    let (allocations, name) = rest.trim_start().split_once(' ')?;
    let (whole, part) = allocations.split_once('.')?;
    let (whole, part): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    Some(Cost {
        name: name.to_owned(),
        instructions: Some(instructions.parse().ok()?),
        allocations: (whole * 100 + part) * RUNS / 100,
    })
}

fn print(found: &[Cost], baseline: &[Cost]) {
    println!("{:>12} {:>9} {:>12}  case", "instructions", "baseline", "allocations");
    for cost in found {
        let count = |cost: Option<&Cost>| {
            let number = cost.and_then(|cost| cost.instructions);
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        };
        let known = count(baseline.iter().find(|known| known.name == cost.name));
        let (now, each) = (count(Some(cost)), hundredths(cost.allocations));
        println!("{now:>12} {known:>9} {each:>12}  {}", cost.name);
    }
}

/// What is worse than it was, and what is not known.
fn faults(found: &[Cost], baseline: &[Cost], is_same: bool, is_part: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for now in found {
        let Some(was) = baseline.iter().find(|was| was.name == now.name) else {
            faults.push(format!("{}: has no baseline", now.name));
            continue;
        };
        if now.allocations > was.allocations {
            let (now_each, was_each) = (hundredths(now.allocations), hundredths(was.allocations));
            faults.push(format!("{}: {now_each} allocations, were {was_each}", now.name));
        }
        if let (true, Some(now_is), Some(was_is)) = (is_same, now.instructions, was.instructions)
            && now_is > was_is + (was_is * MORE_MAX).div_ceil(1000).max(MORE_MIN)
        {
            let more = (now_is - was_is) * 1000 / was_is.max(1);
            let percent = format!("{}.{} %", more / 10, more % 10);
            faults.push(format!(
                "{}: {now_is} instructions, were {was_is}: {percent} more",
                now.name
            ));
        }
    }
    let is_gone = |was: &&Cost| !is_part && !found.iter().any(|now| now.name == was.name);
    faults.extend(baseline.iter().filter(is_gone).map(|was| format!("{}: is gone", was.name)));
    faults
}
