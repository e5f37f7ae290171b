//! The program in a directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, with a settings file.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Settings that say this.
    pub(crate) fn new(settings: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("otus-settings-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("settings.toml"), settings).unwrap();
        Folder(path)
    }

    /// What a file in it says.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The program with these words and no variables but these.
    pub(crate) fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otus"));
        command.args(args).current_dir(&self.0).env_clear().envs(env.iter().copied());
        command
    }

    /// Runs the program to its end: whether it went well, and all that it said.
    pub(crate) fn run(&self, args: &[&str], env: &[(&str, &str)]) -> (bool, String) {
        let output = self.command(args, env).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
