use std::os::unix::fs::MetadataExt;

use super::*;
use crate::service::store::tests::TempDir;

fn row(letter: char, name: &str) -> Row {
    Row {
        uuid: letter.to_string().repeat(24),
        name: name.to_owned(),
        host: "h".to_owned(),
        port: 1,
        is_active: true,
        weight: 1,
        ..Row::default()
    }
}

fn mandate(epoch: u64) -> Mandate {
    Mandate {
        service: "/a".to_owned(),
        master_id: "m".repeat(24),
        uuid: "a".repeat(24),
        epoch,
        by_heartbeat: true,
        echo: 5,
    }
}

fn failure(path: &Path) -> String {
    match File::open(path).and_then(|mut file| match file.load() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    }) {
        Ok(()) => String::new(),
        Err(what) => what,
    }
}

#[test]
fn what_was_kept_is_there_after_the_end() {
    let dir = TempDir::new();
    let path = dir.0.join("below").join("master.redb");
    let mut file = File::open(&path).unwrap();
    assert_eq!(file.load(), Ok(Some(Saved::default())));
    assert_eq!(file.load(), Ok(None), "nobody else writes to it");
    let renewal = Change::Renew { uuid: "a".repeat(24), echo: 9 };
    file.keep(&[renewal, Change::Put(row('a', "a")), Change::Put(row('b', "b"))]).unwrap();
    file.keep(&[Change::Mandate(mandate(7)), Change::Remove("b".repeat(24))]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(failure(&path).contains("another master has it open"));
    drop(file);
    let mut file = File::open(&path).unwrap();
    let saved = file.load().unwrap().unwrap();
    assert_eq!(
        (saved.rows, saved.mandates, saved.epoch),
        (vec![row('a', "a")], vec![mandate(7)], 7)
    );
    file.keep(&[Change::EndMandate("/a".to_owned())]).unwrap();
    drop(file);
    let saved = File::open(&path).unwrap().load().unwrap().unwrap();
    assert_eq!((saved.mandates.len(), saved.epoch), (0, 7), "no epoch is given twice");
}

#[test]
fn a_file_that_is_no_store_of_a_master_is_refused_and_not_touched() {
    let dir = TempDir::new();
    fs::create_dir_all(&dir.0).unwrap();
    let path = dir.0.join("master.redb");
    fs::write(&path, b"these are the minutes of a meeting").unwrap();
    assert!(failure(&path).contains("damaged, or no store of a master"), "{}", failure(&path));
    assert_eq!(fs::read(&path).unwrap(), b"these are the minutes of a meeting");
    let other = dir.0.join("other.redb");
    let database = Database::create(&other).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: TableDefinition<'_, &str, u64> = TableDefinition::new("invoices");
    transaction.open_table(table).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(failure(&other).contains("a store of something else"), "{}", failure(&other));
    assert!(failure(&dir.0).contains("Is a directory"), "{}", failure(&dir.0));
    let later = dir.0.join("later.redb");
    let database = Database::create(&later).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(NUMBERS).unwrap().insert(FORM, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(failure(&later).contains("the form 2, and 1 is known here"));
}

#[test]
fn a_torn_file_is_told_and_never_ends_the_process() {
    let dir = TempDir::new();
    let whole = dir.0.join("whole.redb");
    let mut file = File::open(&whole).unwrap();
    for letter in 'a'..='z' {
        file.keep(&[Change::Put(row(letter, "a"))]).unwrap();
    }
    drop(file);
    let bytes = fs::read(&whole).unwrap();
    let torn = dir.0.join("torn.redb");
    let mut luck = crate::base::prng::Prng::new(3);
    for _ in 0..12 {
        let len = luck.below(bytes.len().try_into().unwrap());
        fs::write(&torn, &bytes[..usize::try_from(len).unwrap().max(1)]).unwrap();
        assert!(!failure(&torn).is_empty(), "{len} bytes of {}", bytes.len());
    }
    let mut told = 0;
    for _ in 0..12 {
        let mut bad = bytes.clone();
        for _ in 0..64 {
            let at = usize::try_from(luck.below(bad.len().try_into().unwrap())).unwrap();
            bad[at] ^= 1 << luck.below(8);
        }
        fs::write(&torn, &bad).unwrap();
        // Bytes that nothing is in may be anything.
        told += u32::from(!failure(&torn).is_empty());
    }
    assert!(told > 0);
}
