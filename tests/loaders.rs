//! Fuzz tests of the functions that load files. For any bytes, loading must return a value or an error, and must
//! not allocate more memory than a file of that size can need.
//!
//! Each file in `tests/corpus` is damaged at random: bits are flipped, bytes are overwritten, the file is
//! truncated, and pieces are removed or doubled. `WGRAD_FUZZ_CASES` sets the number of cases per file (300 by
//! default).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use wgrad::data::{Preprocess, read_idx, read_npy, read_npz};
use wgrad::prelude::*;
use wgrad::train::Recording;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory that loading a file may use: `BASE` bytes plus `TIMES` times the file's size. The factor is large,
/// because a short text such as `1,` becomes a number of eight bytes, and because files may be compressed.
const BASE: usize = 4 << 20;
const TIMES: usize = 1100;

/// Kind of damage to the bytes of a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    /// Overwrites some bytes with an extreme number or with odd text.
    Write(Index, &'static [u8]),
    Cut(Index),
    Remove(Index, usize),
    Double(Index, usize),
}

const PIECES: [&[u8]; 12] = [
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0; 8],
    b"99999999999",
    b"-1",
    b"\"",
    b",\n\r",
    b"1e999",
    b"{\"",
    &[0xc3, 0x28],
];

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Write(at, PIECES[piece])),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 1..20usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), 1..200usize).prop_map(|(at, count)| Damage::Double(at, count)),
    ];
    prop::collection::vec(one, 1..5)
}

fn apply(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let size = bytes.len();
        match damage {
            Damage::Flip(at, bit) => bytes[at.index(size)] ^= 1 << bit,
            Damage::Write(at, piece) => {
                let at = at.index(size);
                let end = size.min(at + piece.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
            Damage::Cut(at) => bytes.truncate(at.index(size)),
            Damage::Remove(at, count) => drop(bytes.drain(at.index(size)..size.min(at.index(size) + count))),
            Damage::Double(at, count) => {
                let at = at.index(size);
                let piece = bytes[at..size.min(at + count)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Locks a mutex so that tests run one at a time, because memory is counted for the whole process.
fn lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corpus(ends: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let all = fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("a file").path());
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut files: Vec<_> = all.filter(|path| ends.iter().any(|end| name(path).ends_with(end))).collect();
    files.sort();
    assert!(!files.is_empty(), "{ends:?}");
    files
}

/// Loads each file with one of these extensions, first intact and then with random damage.
fn survives(ends: &[&str], load: impl Fn(&Path) -> bool) {
    let _guard = lock();
    let cases = std::env::var("WGRAD_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().expect("a folder");
    for file in corpus(ends) {
        let whole = fs::read(&file).expect("a file of the corpus");
        let place = folder.path().join(file.file_name().expect("a name"));
        let name = file.display().to_string();
        let accepted = load(&file);
        assert!(accepted || name.contains("fortran"), "{name} is whole");
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&damage(), |damages| {
            let bytes = apply(whole.clone(), &damages);
            fs::write(&place, &bytes).expect("a temporary file");
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            load(&place);
            let taken = MEMORY.peak_usage().saturating_sub(before);
            let most = BASE + TIMES * bytes.len();
            prop_assert!(taken < most, "{taken} bytes for a file of {}", bytes.len());
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{name}: {failure}");
        }
    }
}

#[test]
fn csv_of_any_bytes_is_a_table_or_an_error() {
    survives(&[".csv"], |path| {
        let read = |table: Result<Table>| {
            let table = table?;
            let target = table.names().last().cloned().unwrap_or_default();
            table.target(&target)?.missing(Missing::FillMean).max_categories(50).split(0.5, Seed(1))
        };
        let streamed = read(Table::scan_csv(path)).map(|(train, _)| train.y().to_vec());
        let in_memory = read(Table::read_csv(path)).map(|(train, _)| train.y().to_vec());
        assert_eq!(streamed.is_ok(), in_memory.is_ok());
        // Loading returns an error because of the dates, but only after reading them.
        Table::read_csv(path).is_ok()
    });
}

#[test]
fn arrays_of_any_bytes_are_arrays_or_errors() {
    survives(&[".npy"], |path| read_npy(path).is_ok());
    survives(&[".npz"], |path| read_npz(path).is_ok());
    survives(&[".idx", ".idx.gz"], |path| read_idx(path).is_ok());
}

#[test]
fn weights_of_any_bytes_are_weights_or_errors() {
    survives(&[".safetensors"], |path| {
        let params = Params::seeded(1);
        let _model = Linear::new(&params.at("fc"), 3, 2);
        let before = params.to_safetensors().expect("bytes");
        let loaded = params.load(path).is_ok();
        assert!(loaded || params.to_safetensors().expect("bytes") == before, "an error leaves the weights alone");
        let _ = Recording::read(path);
        let _ = Scores::from_safetensors("damaged", &fs::read(path).expect("bytes"));
        loaded
    });
}

#[test]
fn descriptions_of_any_bytes_are_descriptions_or_errors() {
    survives(&[".json"], |path| {
        let text = String::from_utf8_lossy(&fs::read(path).expect("bytes")).into_owned();
        let Ok(preprocess) = Preprocess::from_json(&text) else { return false };
        let table = Table::parse("t.csv", b"a,b\n1,2\n3,4\n").expect("a table");
        let _ = preprocess.apply(&table);
        true
    });
}
