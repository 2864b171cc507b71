//! Cases of pooling: the maximum or the mean of the elements in a window.

use wgrad_core::ops::{AvgPool, MaxPool};
use wgrad_core::{Tensor, vjp};

use crate::case::Fill::{Grid, Normal, Of};
use crate::case::{Case, Inputs};
use crate::draw::Draw;
use crate::family::{Family, at_length};

pub(super) const FAMILY: Family = Family::new(own).edges(edges).lengths(lengths).random(&[random]);

type Sizes<'a> = &'a [usize];

fn max_pool2d(name: &str, x: Sizes<'_>, pool: MaxPool<2>) -> Vec<Case> {
    let both = move |x: &[Tensor]| {
        let (y, place) = x[0].max_pool2d_with_indices(pool);
        vec![y, place]
    };
    vec![
        Case::several(format!("max_pool2d {name}"), &[(x, Normal)], both),
        Case::several(format!("max_pool2d {name} with ties"), &[(x, Grid(1.0, 2))], both),
    ]
}

fn avg_pool2d(name: &str, x: Sizes<'_>, pool: AvgPool<2>) -> Case {
    Case::new(format!("avg_pool2d {name}"), &[(x, Normal)], move |x| x[0].avg_pool2d(pool))
}

fn own() -> Vec<Case> {
    let max = |kernel: [usize; 2]| MaxPool::<2>::new(kernel);
    let avg = |kernel: [usize; 2]| AvgPool::<2>::new(kernel);
    let mut cases: Vec<_> = [
        max_pool2d("side by side", &[2, 3, 8, 6], max([2, 2])),
        max_pool2d("of a rest", &[2, 3, 9, 7], max([2, 3])),
        max_pool2d("overlapping and padded", &[2, 3, 9, 8], max([3, 3]).stride(2).padding(1)),
        max_pool2d("dilated", &[1, 2, 11, 12], max([3, 2]).stride([1, 2]).dilation([2, 3]).padding([1, 1])),
        max_pool2d("hanging over", &[2, 2, 8, 9], max([3, 3]).stride(2).ceil_mode(true)),
        max_pool2d("hanging over padding", &[2, 2, 7, 5], max([3, 2]).stride([3, 4]).padding(1).ceil_mode(true)),
        max_pool2d("with gaps", &[3, 9, 9], max([2, 1]).stride([4, 3])),
    ]
    .into_iter()
    .flatten()
    .collect();
    cases.extend([
        avg_pool2d("side by side", &[2, 3, 8, 6], avg([2, 2])),
        avg_pool2d("padded", &[2, 3, 9, 8], avg([3, 3]).stride(2).padding(1)),
        avg_pool2d(
            "without padding in the count",
            &[2, 3, 9, 8],
            avg([3, 2]).stride([2, 1]).padding(1).count_include_pad(false),
        ),
        avg_pool2d("hanging over", &[2, 2, 8, 9], avg([3, 3]).stride(2).ceil_mode(true)),
        avg_pool2d("hanging over padding", &[2, 2, 7, 6], avg([3, 2]).stride([3, 4]).padding(1).ceil_mode(true)),
        avg_pool2d("with a divisor", &[3, 8, 9], avg([3, 3]).padding(1).divisor_override(5)),
        avg_pool2d("of wide planes", &[3, 2, 40, 65], avg([5, 9]).stride(1)),
        Case::new("avg_pool1d", &[(&[3, 4, 17], Normal)], |x| x[0].avg_pool1d(AvgPool::new(4).stride(3).padding(2))),
        Case::several("max_pool2d of NaNs", &[(&[3, 2, 9, 9], Of(&[f64::NAN, 1.0, -2.0, 3.0, 0.5, -4.0]))], |x| {
            let (y, place) = x[0].max_pool2d_with_indices(MaxPool::new(2));
            vec![y, place]
        })
        .without_gradients(),
        Case::new("max_pool1d", &[(&[4, 17], Normal)], |x| x[0].max_pool1d(MaxPool::new(3).stride(2).padding(1))),
    ]);
    for (input, output) in [([8, 6], [4, 3]), ([7, 5], [3, 4]), ([5, 5], [1, 1]), ([3, 4], [5, 9])] {
        let x = [2, 3, input[0], input[1]];
        let name = format!("adaptive_avg_pool2d {input:?} to {output:?}");
        cases.push(Case::new(name, &[(&x, Normal)], move |x| x[0].adaptive_avg_pool2d(output)));
        let name = format!("adaptive_max_pool2d {input:?} to {output:?}");
        let both = move |x: &[Tensor]| {
            let (y, place) = x[0].adaptive_max_pool2d(output);
            vec![y, place]
        };
        cases.push(Case::several(name, &[(&x, Normal)], both));
    }
    cases.push(Case::new("adaptive pools of lines", &[(&[2, 3, 11], Normal)], |x| {
        x[0].adaptive_avg_pool1d(4).square() + x[0].adaptive_max_pool1d([Some(4)]).0
    }));
    cases.push(derivative());
    cases
}

/// Returns a case whose outputs are gradients, so that the gradient ops themselves are differentiated.
fn derivative() -> Case {
    let images: Inputs<'_> = &[(&[2, 3, 8, 7], Normal), (&[2, 3, 4, 4], Normal), (&[2, 3, 4, 4], Normal)];
    Case::several("gradients of pools", images, |x| {
        let max = x[0].max_pool2d(MaxPool::new(3).stride(2).padding(1));
        let mean = x[0].avg_pool2d(AvgPool::new(3).stride(2).padding(1));
        vjp(&[(&max, &x[1]), (&mean, &x[2])], &x[..1]).into_iter().flatten().map(|dx| dx.square()).collect()
    })
}

fn edges() -> Vec<Case> {
    vec![Case::new("edge: max_pool2d of ties", &[(&[2, 3, 9, 11], Grid(1.0, 1))], |x| {
        x[0].max_pool2d(MaxPool::new(3).stride(2).padding(1))
    })]
}

fn lengths(n: usize) -> Vec<Case> {
    vec![
        at_length("pooling", n, &[(&[1, 2, n], Normal)], |x| {
            let max = x[0].max_pool1d(MaxPool::new(3).stride(2).padding(1));
            vec![max, x[0].avg_pool1d(AvgPool::new(3).stride(2).padding(1))]
        }),
        at_length("pooling of all", n, &[(&[3, n], Normal)], |x| {
            let n = x[0].shape().dims()[1];
            vec![x[0].max_pool1d(MaxPool::new(n)), x[0].avg_pool1d(AvgPool::new(n))]
        }),
    ]
}

fn random(draw: &mut Draw) -> Case {
    let kernel = [1 + draw.below(4), 1 + draw.below(4)];
    let stride = 1 + draw.below(3);
    let padding = draw.below(1 + kernel[0].min(kernel[1]) / 2);
    let ceil = draw.coin();
    let x = [1 + draw.below(3), draw.of(&[1, 3, 8]), kernel[0] + draw.below(12), kernel[1] + draw.below(12)];
    let largest = draw.coin();
    let name = format!(
        "{} {x:?} kernel {kernel:?} stride {stride} padding {padding} ceil {ceil}",
        if largest { "max_pool2d" } else { "avg_pool2d" }
    );
    Case::new(name, &[(&x, Normal)], move |x| {
        if largest {
            x[0].max_pool2d(MaxPool::new(kernel).stride(stride).padding(padding).ceil_mode(ceil))
        } else {
            x[0].avg_pool2d(AvgPool::new(kernel).stride(stride).padding(padding).ceil_mode(ceil))
        }
    })
}
