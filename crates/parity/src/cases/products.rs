//! Cases of matrix products, with the default kernel and with each variant, and of contractions.

#[allow(clippy::wildcard_imports, reason = "every product is called here")]
use wgrad_core::ops::*;

use crate::case::Fill::{self, Normal, Powers, Uniform};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random, linears]);

fn own() -> Vec<Case> {
    [products(), contractions()].concat()
}

fn products() -> Vec<Case> {
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
            // Large sizes are meant to test tiles, so they are tested only with both operands transposed or with
            // neither.
            if m * n > 100_000 && ta != tb {
                continue;
            }
            let a: &[usize] = if ta { &[k, m] } else { &[m, k] };
            let b: &[usize] = if tb { &[n, k] } else { &[k, n] };
            let name = format!("matmul {m}x{k}x{n}{}{}", if ta { " ta" } else { "" }, if tb { " tb" } else { "" });
            let product = Case::new(name, &[(a, Normal), (b, Normal)], move |x| x[0].matmul_t(&x[1], ta, tb));
            cases.push(if m * n > 100_000 { product.without_gradients() } else { product });
        }
    }
    cases.push(Case::new("matmul batched", &[(&[3, 4, 5], Normal), (&[3, 5, 6], Normal)], |x| x[0].matmul(&x[1])));
    cases.push(Case::new("matmul with a shared matrix", &[(&[3, 4, 5], Normal), (&[5, 6], Normal)], |x| {
        x[0].matmul(&x[1])
    }));
    cases.push(Case::new("matmul with broadcast batches", &[(&[2, 1, 4, 5], Normal), (&[3, 5, 2], Normal)], |x| {
        x[0].matmul(&x[1])
    }));
    for (rows, inner, out) in [(1, 3, 1), (64, 30, 64), (129, 64, 10), (2, 300, 5)] {
        let inputs: Inputs<'_> = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
        cases.push(Case::new(format!("linear {rows}x{inner}x{out}"), inputs, |x| x[0].linear(&x[1], Some(&x[2]))));
    }
    cases.push(Case::new("linear of a vector", &[(&[5], Normal), (&[3, 5], Normal)], |x| x[0].linear(&x[1], None)));
    cases.push(Case::new(
        "linear under leading axes",
        &[(&[2, 3, 5], Normal), (&[4, 5], Normal), (&[4], Normal)],
        |x| x[0].linear(&x[1], Some(&x[2])),
    ));
    cases.push(Case::new(
        "linear then relu then linear",
        &[(&[9, 5], Normal), (&[8, 5], Normal), (&[3, 8], Normal)],
        |x| x[0].linear(&x[1], None).relu().linear(&x[2], None),
    ));
    cases
}

fn contractions() -> Vec<Case> {
    let mut cases = vec![];
    for (equation, shapes) in [
        ("bij,bjk->bik", &[&[3usize, 4, 5][..], &[3, 5, 6]][..]),
        ("bqhd,bkhd->bhqk", &[&[2, 3, 4, 5], &[2, 7, 4, 5]]),
        ("ij,jk", &[&[4, 5], &[5, 3]]),
        ("ba", &[&[4, 5]]),
        ("ij->", &[&[4, 5]]),
        ("ij->j", &[&[4, 5]]),
        ("i,j->ij", &[&[4], &[5]]),
        ("i,i->", &[&[33], &[33]]),
        ("bij,kj->bki", &[&[2, 3, 4], &[5, 4]]),
        ("ji,kj->ik", &[&[6, 3], &[4, 6]]),
        ("ij,jk,kl->il", &[&[3, 4], &[4, 5], &[5, 2]]),
        ("bn,anm,bm->ba", &[&[2, 3], &[5, 3, 4], &[2, 4]]),
        ("...ij,...jk->...ik", &[&[2, 1, 3, 4], &[5, 4, 3]]),
        ("...d,d", &[&[2, 3, 4], &[4]]),
        ("ij,ij->ij", &[&[3, 4], &[3, 1]]),
        ("ab,bc->ac", &[&[3, 1], &[4, 2]]),
        ("ij,k->j", &[&[3, 4], &[5]]),
    ] {
        let inputs: Vec<(&[usize], Fill)> = shapes.iter().map(|&shape| (shape, Normal)).collect();
        cases.push(Case::new(format!("einsum {equation} of {shapes:?}"), &inputs, move |x| {
            einsum(equation, &x.iter().collect::<Vec<_>>())
        }));
    }
    for (a, b) in [
        (&[5usize][..], &[5usize][..]),
        (&[5], &[5, 3]),
        (&[4, 5], &[5]),
        (&[2, 3, 4, 5], &[5]),
        (&[5], &[2, 3, 5, 4]),
        (&[2, 1, 4, 5], &[3, 5, 2]),
    ] {
        let case = Case::new(format!("matmul {a:?} {b:?}"), &[(a, Normal), (b, Normal)], |x| x[0].matmul(&x[1]));
        cases.push(case);
    }
    cases.push(Case::new(
        "baddbmm",
        &[(&[4, 1], Normal), (&[2, 4, 5], Normal), (&[2, 5, 3], Uniform(-1.0, 2.0))],
        |x| x[0].baddbmm(&x[1], &x[2], 0.5, 2.0),
    ));
    cases
}

fn edges() -> Vec<Case> {
    let inputs: Inputs<'_> = &[(&[5, 67], Powers(-30.0, 30.0)), (&[67, 9], Powers(-30.0, 30.0))];
    vec![Case::new("edge: matmul of sizes from 2^-30 to 2^30", inputs, |x| x[0].matmul(&x[1]))]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("matmul over", n, &[(&[1, n], Normal), (&[n, 2], Normal)], |x| vec![x[0].matmul(&x[1])]),
        at_length("matmul beside", n, &[(&[n, 3], Normal), (&[3, 2], Normal)], |x| vec![x[0].matmul(&x[1])]),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let size = draw.shape(3);
    let [m, k, n] = [size[0], size[1], size[2]];
    let (ta, tb) = (draw.coin(), draw.coin());
    let batch = if draw.below(3) == 0 { vec![1 + draw.below(3)] } else { vec![] };
    let a = [&batch[..], &(if ta { [k, m] } else { [m, k] })].concat();
    let b = [&batch[..], &(if tb { [n, k] } else { [k, n] })].concat();
    Case::new(format!("matmul {a:?} {b:?} {ta} {tb}"), &[(&a, Normal), (&b, Normal)], move |x| {
        x[0].matmul_t(&x[1], ta, tb)
    })
}

fn linears(draw: &mut Draw) -> Case {
    let size = draw.shape(3);
    let [rows, inner, out] = [size[0], size[1], size[2]];
    let inputs: &[(&[usize], Fill)] = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
    let name = format!("linear {rows}x{inner}x{out} and tanh");
    Case::new(name, inputs, |x| x[0].linear(&x[1], Some(&x[2])).tanh())
}

/// Returns matrix products for every variant of the kernel, each with the variant's name. They cover sizes that
/// are and are not multiples of tiles, every transpose, operands loaded one, two and four elements at once,
/// batches, a bias, and a sum that is split into parts. Gradients are not compared, because they are also
/// products, with other transposes.
pub fn variants() -> Vec<(&'static str, Case)> {
    let (mut named_cases, mut cases) = (vec![], vec![]);
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
            cases.push(Case::new(named(&what), &[(&a, Normal), (&b, Normal)], move |x| x[0].matmul_t(&x[1], ta, tb)));
        }
        let batches: Inputs<'_> = &[(&[3, 12, 5], Normal), (&[3, 12, 36], Normal)];
        cases.push(Case::new(named("batched"), batches, |x| x[0].matmul_t(&x[1], true, false)));
        for [rows, inner, out] in [[64, 20, 128], [33, 600, 12]] {
            let inputs: Inputs<'_> = &[(&[rows, inner], Normal), (&[out, inner], Normal), (&[out], Normal)];
            let what = named(&format!("linear {rows}x{inner}x{out}"));
            cases.push(Case::new(what, inputs, |x| x[0].linear(&x[1], Some(&x[2]))));
        }
        named_cases.extend(cases.drain(..).map(|case| (variant, case.without_gradients())));
    }
    named_cases
}
