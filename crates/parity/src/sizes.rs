//! Every family of kernels at one length: the lengths that matter are those around powers of two, around the sizes of
//! workgroups and beyond 65,535.

use wgrad_core::Tensor;
#[allow(clippy::wildcard_imports, reason = "every family has a row here")]
use wgrad_core::ops::*;

use crate::Case;
use crate::Values::{self, Below, Normal};

/// Every family of kernels at length `n`: clusters, sums, extremes, products, softmax, losses, batch norm, gathers.
#[must_use]
pub fn sizes(n: usize) -> Vec<Case> {
    type Build = fn(&[Tensor]) -> Vec<Tensor>;
    let case = |name: &str, inputs: &[(&[usize], Values)], terms: usize, ulp: f64, build: Build| {
        // A softmax's gradient is (dy − Σ dy·y)·y, a batch norm's dy less its mean and its part along y, over the
        // deviation: with `dy` up to 4 and few rows differences of such numbers. Five normal numbers deviate by less than t
        // with a chance of (5·t²)²/8, so among n channels the least deviation is about (8/n)^¼/√5.
        #[allow(clippy::cast_precision_loss, reason = "a length")]
        let least = (8.0 / n as f64).powf(0.25) / 5f64.sqrt();
        let cancelling = match name {
            "batch norm of channels" => (4.0 / least).max(16.0),
            _ if name.starts_with("softmax") || name.starts_with("cross") => 4.0,
            _ if name.starts_with("batch") => 16.0,
            _ => 0.0,
        };
        let case = Case::several(format!("{name} of {n}"), inputs, build).gradients_of(&[0]);
        case.terms(terms).ulp(ulp).cancelling(cancelling)
    };
    let classes: &[(&[usize], Values)] = &[(&[n, 3], Normal), (&[n], Below(3))];
    let mut cases = vec![
        case("cluster", &[(&[n], Normal)], 1, 24.0, |x| vec![(&x[0] * 2.0 + 1.0).tanh() * &x[0]]),
        case("cluster with a row", &[(&[n, 3], Normal), (&[3], Normal)], n, 0.0, |x| vec![(&x[0] + &x[1]) * &x[1]]),
        case("sum", &[(&[n], Normal)], n, 0.0, |x| vec![x[0].sum_all()]),
        case("sum of columns", &[(&[n, 3], Normal)], n, 0.0, |x| vec![x[0].sum(&[0])]),
        case("mean of rows", &[(&[3, n], Normal)], n, 3.0, |x| vec![x[0].mean_keepdim(&[1])]),
        case("softmax", &[(&[2, n], Normal)], n, 40.0, |x| vec![x[0].softmax(1)]),
        case("softmax of columns", &[(&[n, 3], Normal)], 3, 40.0, |x| vec![x[0].softmax(1)]),
        case("softmax of pages", &[(&[2, n, 2], Normal)], n, 40.0, |x| vec![x[0].softmax(1)]),
        case("matmul over", &[(&[1, n], Normal), (&[n, 2], Normal)], n, 0.0, |x| vec![x[0].matmul(&x[1])]),
        case("matmul beside", &[(&[n, 3], Normal), (&[3, 2], Normal)], n, 0.0, |x| vec![x[0].matmul(&x[1])]),
        case("cross entropy", classes, 3, 40.0, |x| vec![x[0].softmax_cross_entropy(&x[1], None, 0.1, None).0]),
        case("cross entropy of classes", &[(&[2, n], Normal), (&[2], Below(n))], n, 40.0, |x| {
            vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]
        }),
        case("cross entropy of pages", &[(&[2, n, 2], Normal), (&[2, 2], Below(n))], n, 40.0, |x| {
            vec![x[0].softmax_cross_entropy(&x[1], None, 0.0, None).0]
        }),
        case("maximum of columns", &[(&[n, 3], Normal)], 1, 4.0, |x| vec![x[0].amax(&[0])]),
        case("maximum of rows", &[(&[3, n], Normal)], 1, 4.0, |x| vec![x[0].amax(&[1])]),
        case("gathered rows", &[(&[5, 3], Normal), (&[n], Below(5))], n, 0.0, |x| vec![x[0].embedding(&x[1]).square()]),
        case("gathered rows of a table", &[(&[200, 3], Normal), (&[n], Below(200))], n, 0.0, |x| {
            vec![x[0].embedding(&x[1]).square()]
        }),
        case("place of the maximum", &[(&[n, 33], Normal), (&[3, n], Normal)], 1, 0.0, |x| {
            vec![x[0].argmax(0), x[1].argmax(1)]
        }),
        case("batch norm of channels", &[(&[5, n], Normal)], 5, 8.0, |x| {
            vec![x[0].batch_norm_train(None, None, 1e-5).0]
        }),
        case("layer norm", &[(&[2, n], Normal)], n, 8.0, |x| {
            let row = x[0].shape().dims()[1];
            vec![x[0].layer_norm(&[row], None, None, 1e-5), x[0].rms_norm(&[row], None, 1e-5)]
        }),
        case("layer norm of rows", &[(&[n, 16], Normal)], 16, 8.0, |x| vec![x[0].layer_norm(&[16], None, None, 1e-5)]),
        case("group norm", &[(&[1, 8, n], Normal)], 4 * n, 8.0, |x| vec![x[0].group_norm(2, None, None, 1e-5)]),
        case("cumulative sum", &[(&[2, n], Normal)], n, 0.0, |x| vec![x[0].cumsum(1)]),
        case("cumulative sum of pages", &[(&[2, n, 2], Normal)], n, 2.0, |x| vec![(&x[0] * 0.7).cumsum(1) * &x[0]]),
        case("cumulative sum of columns", &[(&[n, 3], Normal)], 3, 0.0, |x| vec![x[0].cumsum(1)]),
        case("total norm", &[(&[n], Normal)], n, 8.0, |x| vec![wgrad_core::ops::total_norm(x)]),
        case("convolution", &[(&[1, 2, n], Normal), (&[3, 2, 3], Normal)], n.max(9), 0.0, |x| {
            vec![x[0].conv1d(&x[1], None, ConvOptions::new().padding(1))]
        }),
        case("convolution of images", &[(&[n, 2, 3, 3], Normal), (&[3, 2, 3, 3], Normal)], 9 * n.max(3), 0.0, |x| {
            vec![x[0].conv2d(&x[1], None, ConvOptions::new().padding(1))]
        }),
        case("pooling", &[(&[1, 2, n], Normal)], 3, 4.0, |x| {
            let max = x[0].max_pool1d(MaxPool::new(3).stride(2).padding(1));
            vec![max, x[0].avg_pool1d(AvgPool::new(3).stride(2).padding(1))]
        }),
        case("pooling of all", &[(&[3, n], Normal)], n, 4.0, |x| {
            let n = x[0].shape().dims()[1];
            vec![x[0].max_pool1d(MaxPool::new(n)), x[0].avg_pool1d(AvgPool::new(n))]
        }),
        case("sort", &[(&[2, n], Normal)], 1, 0.0, |x| {
            let (values, places) = x[0].sort(1, false);
            vec![values.square(), places]
        }),
        case("gathered elements", &[(&[3, 5], Normal), (&[3, n], Below(5))], n, 0.0, |x| {
            vec![x[0].gather(1, &x[1]).square()]
        }),
        case("dropout", &[(&[n], Normal)], 1, 4.0, |x| {
            vec![x[0].dropout(0.25, [7, 0xffff_fff0], 3, &x[0].graph().constant_u32(1 << 31)) * &x[0]]
        }),
        case("joined", &[(&[n], Normal), (&[2, n], Normal)], 3, 0.0, |x| {
            let rows = cat(&[&x[0].unsqueeze(0), &x[1]], 0);
            vec![rows.square(), rows.pad_with(1, 1, 2, 0.5).transpose(0, 1) * 2.0]
        }),
    ];
    if n > 1 {
        cases.push(case("batch norm", &[(&[n, 3], Normal)], n, 8.0, |x| {
            vec![x[0].batch_norm_train(None, None, 1e-5).0]
        }));
    }
    cases
}
