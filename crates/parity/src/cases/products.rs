//! Cases of matrix products, by the op and by each variant of its kernel.

#[allow(clippy::wildcard_imports, reason = "as in the table")]
use wgrad_core::ops::*;

use crate::Values::Normal;
use crate::{Case, Inputs};

pub fn products() -> Vec<Case> {
    let mut cases = vec![];
    for (m, k, n) in [
        (1, 1, 1),
        (3, 5, 2),
        (64, 64, 64),
        (65, 63, 33),
        (1, 257, 4),
        (255, 3, 257),
        (40, 2000, 24),
        (600, 16, 520),
        (1030, 9, 520),
    ] {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            // The large ones are there for their tiles, not for their transposes.
            if m * n > 100_000 && ta != tb {
                continue;
            }
            let a: &[usize] = if ta { &[k, m] } else { &[m, k] };
            let b: &[usize] = if tb { &[n, k] } else { &[k, n] };
            let name = format!("matmul {m}x{k}x{n}{}{}", if ta { " ta" } else { "" }, if tb { " tb" } else { "" });
            let product = Case::new(name, &[(a, Normal), (b, Normal)], move |x| x[0].matmul_t(&x[1], ta, tb));
            cases.push(if m * n > 100_000 {
                product.terms(k).without_gradients()
            } else {
                product.terms(k.max(m).max(n))
            });
        }
    }
    cases.push(
        Case::new("matmul batched", &[(&[3, 4, 5], Normal), (&[3, 5, 6], Normal)], |x| x[0].matmul(&x[1])).terms(6),
    );
    cases.push(
        Case::new("matmul with a shared matrix", &[(&[3, 4, 5], Normal), (&[5, 6], Normal)], |x| x[0].matmul(&x[1]))
            .terms(18),
    );
    cases.push(
        Case::new("matmul with broadcast batches", &[(&[2, 1, 4, 5], Normal), (&[3, 5, 2], Normal)], |x| {
            x[0].matmul(&x[1])
        })
        .terms(18),
    );
    for (rows, inner, out) in [(1, 3, 1), (64, 30, 64), (129, 64, 10), (2, 300, 5)] {
        let inputs: Inputs<'_> = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
        cases.push(
            Case::new(format!("linear {rows}x{inner}x{out}"), inputs, |x| x[0].linear(&x[1], Some(&x[2])))
                .terms(rows.max(inner).max(out)),
        );
    }
    cases.push(
        Case::new("linear of a vector", &[(&[5], Normal), (&[3, 5], Normal)], |x| x[0].linear(&x[1], None)).terms(5),
    );
    cases.push(
        Case::new("linear under leading axes", &[(&[2, 3, 5], Normal), (&[4, 5], Normal), (&[4], Normal)], |x| {
            x[0].linear(&x[1], Some(&x[2]))
        })
        .terms(6),
    );
    cases.push(
        Case::new("linear then relu then linear", &[(&[9, 5], Normal), (&[8, 5], Normal), (&[3, 8], Normal)], |x| {
            x[0].linear(&x[1], None).relu().linear(&x[2], None)
        })
        .terms(9),
    );
    cases
}

/// Products by every variant of their kernel, with the variant's name: ragged sizes, whole tiles, every transpose,
/// operands that are read by one, two and four elements, batches, a bias, a sum in parts. Only forward: a gradient is
/// a product with other transposes.
#[must_use]
pub fn variants() -> Vec<(&'static str, Case)> {
    let (mut rows, mut cases) = (vec![], vec![]);
    for variant in matmul_variants() {
        let named = |what: &str| format!("{variant}: {what}");
        let sizes = [
            ([7, 1, 3], false, false),
            ([65, 7, 33], true, true),
            ([66, 34, 30], false, true),
            ([128, 32, 128], false, true),
            ([128, 36, 256], true, false),
            ([24, 1030, 20], true, false),
        ];
        for ([m, k, n], ta, tb) in sizes {
            let (a, b) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
            let what = format!("{m}x{k}x{n}{}{}", if ta { " ta" } else { "" }, if tb { " tb" } else { "" });
            cases.push(
                Case::new(named(&what), &[(&a, Normal), (&b, Normal)], move |x| x[0].matmul_t(&x[1], ta, tb)).terms(k),
            );
        }
        let batches: Inputs<'_> = &[(&[3, 12, 5], Normal), (&[3, 12, 36], Normal)];
        cases.push(Case::new(named("batched"), batches, |x| x[0].matmul_t(&x[1], true, false)).terms(12));
        for [rows, inner, out] in [[64, 20, 128], [33, 600, 12]] {
            let inputs: Inputs<'_> = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
            let what = named(&format!("linear {rows}x{inner}x{out}"));
            cases.push(Case::new(what, inputs, |x| x[0].linear(&x[1], Some(&x[2]))).terms(inner));
        }
        rows.extend(cases.drain(..).map(|case| (variant, case.without_gradients())));
    }
    rows
}
