use super::*;

/// Returns the answers of a driver that computes everything as IEEE 754 requires.
fn ideal() -> Vec<u32> {
    let given = |i: usize| f32::from_bits(INPUTS[i]);
    let rounded = |f: fn(f64) -> f64, i: usize| f(f64::from(given(i))) as f32;
    let floats = [
        (0, f32::INFINITY),
        (1, f32::NAN),
        (2, f32::INFINITY),
        (6, given(1)),
        (7, given(4)),
        (8, given(4) + given(4)),
        (9, given(4)),
        (10, rounded(f64::exp, 6)),
        (11, rounded(f64::exp, 7)),
        (12, f32::INFINITY),
        (13, 0.0),
        (14, rounded(f64::ln, 10)),
        (15, rounded(f64::ln, 11)),
        (16, rounded(f64::ln, 12)),
        (17, given(13) * given(13) - given(14)),
        (18, given(13).mul_add(given(13), -given(14))),
        (19, (given(15) + given(5)) - given(15)),
        (20, 1.0 / 3.0),
        (21, 1.0 / 1.5),
        (29, 16_777_215.0),
    ];
    let mut y = vec![0; ANSWERS];
    for (i, value) in floats {
        y[i] = value.to_bits();
    }
    let integers = [
        (3, 1),
        (4, 0),
        (5, 1),
        (22, 7 / 2),
        (23, u32::MAX / 3),
        (24, 0x8000_0001 % 7),
        (27, u32::MAX / 1_000_000_007),
    ];
    for (i, value) in integers.into_iter().chain([(28, u32::MAX % 1_000_000_007), (30, 32_896), (31, u32::MAX)]) {
        y[i] = value;
    }
    y[CLEARED] = ITERATIONS;
    (y[25], y[26]) = ((-7i32 / 2).cast_unsigned(), (-7i32 % 2).cast_unsigned());
    y
}

/// Returns the verdict on the probe `name` if the given answers (index, word) differ from the ideal ones.
fn verdict(name: &str, answers: &[(usize, u32)]) -> ProbeVerdict {
    let mut y = ideal();
    for &(i, value) in answers {
        assert_ne!(y[i], value, "{name}: this is the ideal answer");
        y[i] = value;
    }
    let probes = evaluate(&y);
    for probe in probes.iter().filter(|probe| probe.name != name) {
        assert_eq!(probe.verdict, ProbeVerdict::Passed, "{name} changes {}: {}", probe.name, probe.found);
    }
    probes.iter().find(|probe| probe.name == name).expect("a probe").verdict
}

#[test]
fn a_correct_driver_passes_every_probe() {
    let probes = evaluate(&ideal());
    for probe in &probes {
        assert_eq!(probe.verdict, ProbeVerdict::Passed, "{}: {}", probe.name, probe.found);
    }
    let test = SelfTest { probes, took: Duration::ZERO, cached: false };
    assert_eq!(test.to_string(), "14 of 14 probes passed");
}

#[test]
fn behaviour_left_open_by_wgsl_is_noted() {
    let bits = f32::to_bits;
    let open: [(&str, &[(usize, u32)]); 11] = [
        ("infinity", &[(0, bits(f32::MAX))]),
        ("infinity", &[(1, 0)]),
        ("NaN comparison", &[(3, 0)]),
        ("subnormals", &[(7, 0), (8, bits(-0.0))]),
        ("exp", &[(12, bits(f32::MAX))]),
        ("log", &[(14, bits(9.0e-7))]),
        ("contraction", &[(17, bits(2f32.powi(-24)))]),
        ("reassociation", &[(19, bits(1.0))]),
        ("signed remainder", &[(26, 1)]),
        ("workgroup memory", &[(CLEARED - 1, 8)]),
        ("long loops", &[(CLEARED, 65_535)]),
    ];
    for (name, answers) in open {
        assert!(matches!(verdict(name, answers), ProbeVerdict::Noted(_)), "{name} {answers:?}");
    }
}

#[test]
fn faults_without_workaround_fail() {
    let bits = f32::to_bits;
    let wrong: [(&str, &[(usize, u32)]); 17] = [
        ("NaN bits", &[(5, 0)]),
        ("NaN bits", &[(6, bits(1.0))]),
        ("subnormals", &[(7, bits(1e-30))]),
        ("exp", &[(10, bits(f32::INFINITY))]),
        ("exp", &[(11, 0)]),
        ("exp", &[(13, bits(f32::NAN))]),
        ("log", &[(14, bits(1e-5))]),
        ("log", &[(15, bits(-69.0))]),
        ("contraction", &[(17, bits(1e-3))]),
        ("division", &[(20, bits(0.3334))]),
        ("division", &[(21, bits(f32::NAN))]),
        ("integers", &[(23, 0x5555_5556)]),
        ("integers", &[(25, 0x7fff_fffc)]),
        ("barriers", &[(30, 36)]),
        ("barriers", &[(31, 0)]),
        ("long loops", &[(CLEARED, 1_000)]),
        ("long loops", &[(CLEARED, 1)]),
    ];
    for (name, answers) in wrong {
        assert!(matches!(verdict(name, answers), ProbeVerdict::Failed(_)), "{name} {answers:?}");
    }
    let mut y = ideal();
    y[23] = 1;
    let test = SelfTest { probes: evaluate(&y), took: Duration::ZERO, cached: false };
    assert_eq!(test.to_string(), "13 of 14 probes passed; failed: integers (answer 23 is 0x1, not 0x55555555)");
}

#[test]
fn the_iteration_limit_is_the_number_that_ran() {
    let iterations = |answer| {
        let mut y = ideal();
        y[CLEARED] = answer;
        SelfTest { probes: evaluate(&y), took: Duration::ZERO, cached: false }.iterations()
    };
    assert_eq!([ITERATIONS, 65_535, 1_000].map(iterations), [u32::MAX, 65_535, 1_000]);
}
