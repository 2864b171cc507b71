use std::path::PathBuf;

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/files/fixtures")).join(name)
}

fn message<T>(result: Result<T>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_type_of_number_is_read() {
    let grid = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    for name in ["float16", "float32", "float64", "uint8", "uint16", "big_f4"] {
        let array = read_npy(fixture(&format!("{name}.npy"))).unwrap();
        assert_eq!((array.shape().dims(), array.to_f64()), (&[2, 3][..], grid.to_vec()), "{name}");
    }
    for name in ["int8", "int64", "big_i4"] {
        let array = read_npy(fixture(&format!("{name}.npy"))).unwrap();
        assert_eq!(array.to_f64(), grid.map(|x| x - 1.0), "{name}");
    }
    assert_eq!(read_npy(fixture("bool.npy")).unwrap().as_slice::<u32>(), Some(&[0, 1, 1, 1, 1, 1][..]));
    assert_eq!(read_npy(fixture("scalar.npy")).unwrap().to_f64(), [2.5]);
    assert!(matches!(read_npy(fixture("float64.npy")).unwrap().data(), Data::F64(_)));
    assert!(matches!(read_npy(fixture("uint8.npy")).unwrap().data(), Data::U32(_)));
}

#[test]
fn other_arrays_are_refused_with_advice() {
    for (name, words) in [
        (
            "fortran.npy",
            "the array is in Fortran order, column by column. Write it with numpy.save(…, numpy.ascontiguous",
        ),
        ("objects.npy", "the array holds Python objects (pickled), which could be any program. Write numbers"),
        ("texts.npy", "the array holds texts (`<U2`)."),
        ("records.npy", "the array holds records, not numbers."),
        ("images.idx", "this is not a .npy file: it does not begin like one."),
        ("labels.idx", "this is not a .npy file"),
    ] {
        let error = message(read_npy(fixture(name)));
        assert!(error.contains(words) || error.contains("cut off in its header"), "{name}: {error}");
        assert!(error.starts_with(&fixture(name).display().to_string()), "{error}");
    }
    assert!(message(read_npy("absent.npy")).contains("there is no such file"));
    assert!(message(read_npz(fixture("scalar.npy"))).contains("this is not a complete .npz file"));
    assert!(
        message(read_idx(fixture("scalar.npy"))).contains("this is not an IDX file: it begins with the bytes [93, 4e")
    );
}

#[test]
fn arrays_become_a_dataset() {
    for name in ["stored.npz", "packed.npz"] {
        let data = Dataset::from_npz(fixture(name), "x", "y").unwrap();
        assert_eq!((data.rows(), data.features(), data.y()), (4, 6, &[1, 0, 1, 2][..]));
        assert_eq!((data.classes(), data.feature_names()[5].as_str()), (&["-1", "3", "5"].map(String::from)[..], "x5"));
        assert_eq!((data.x()[0], data.x()[23]), (-1.0, 1.0));
    }
    let error = message(Dataset::from_npz(fixture("stored.npz"), "X", "y"));
    assert!(error.ends_with("there is no array `X`. Did you mean `x`? The arrays are `x`, `y`."), "{error}");
    let error = message(Dataset::from_npy(fixture("float32.npy"), fixture("float64.npy")));
    assert_eq!(error, "x of shape [2, 3] needs a label per row of its first axis, and y has shape [2, 3]");
}

#[test]
fn idx_images_become_numbers_from_zero_to_one() {
    for images in ["images.idx", "images.idx.gz"] {
        let data = Dataset::from_idx(fixture(images), fixture("labels.idx")).unwrap();
        assert_eq!(data.x(), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.0, 1.0]);
        assert_eq!((data.classes(), data.y()), (&["4", "7"].map(String::from)[..], &[1, 0][..]));
    }
    assert_eq!(read_idx(fixture("floats.idx")).unwrap().to_f64(), [1.5, -2.0]);
}

type Reader = fn(&Path) -> Result<()>;
const READERS: [(&str, Reader); 7] = [
    ("float32.npy", |path| read_npy(path).map(drop)),
    ("records.npy", |path| read_npy(path).map(drop)),
    ("stored.npz", |path| read_npz(path).map(drop)),
    ("packed.npz", |path| read_npz(path).map(drop)),
    ("images.idx", |path| read_idx(path).map(drop)),
    ("images.idx.gz", |path| read_idx(path).map(drop)),
    ("labels.idx", |path| read_idx(path).map(drop)),
];

#[test]
fn a_file_that_is_cut_off_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for (name, read) in READERS {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(&path).is_err(), "{name}, the first {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic_or_take_much_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed");
    let mut random = wgrad_core::SplitMix64::new(crate::Seed(1), 0);
    for (name, read) in READERS {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for _ in 0..400 {
            let mut changed = bytes.clone();
            let at = random.below(bytes.len() as u64) as usize;
            changed[at] = random.below(256) as u8;
            std::fs::write(&path, &changed).unwrap();
            let _ = read(&path);
        }
    }
    // The first shape needs exabytes, and the size of the second overflows.
    for shape in ["(1000000000, 1000000000)", "(99999999999, 99999999999, 99999999999)"] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        std::fs::write(&path, [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), &[0; 8]].concat()).unwrap();
        let error = message(read_npy(&path));
        assert!(
            error.contains("the file is cut off: 1000000000 ×") || error.contains("more than an array can hold"),
            "{error}"
        );
    }
}
