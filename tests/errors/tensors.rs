//! Tests of the error messages of selections, sorting, contractions, norms and activations about their inputs and
//! options.

use wgrad::prelude::*;

use super::{assert_brief, compile_error, float, labels, train};

#[track_caller]
fn says(of: impl FnOnce(&Graph) -> Tensor, expected: &str) {
    assert_brief(&compile_error(&Params::seeded(0), &of(&train())), expected);
}

#[test]
fn choosing_says_which_index_fits() {
    says(
        |g| float(g, "x", [64, 10]).gather(1, &labels(g, [64])),
        "gather(f32[64, 10], u32[64]): the index [64] must have as many axes as [64, 10] / for one element per row: \
         `index.unsqueeze(1)`, and `.squeeze(1)` after",
    );
    says(
        |g| float(g, "x", [64, 10]).gather(0, &labels(g, [3, 11])),
        "gather(f32[64, 10], u32[3, 11]): the index [3, 11] has 11 elements along axis 1, [64, 10] has 10: only along \
         axis 0 may it have more",
    );
    says(
        |g| float(g, "x", [64, 10]).gather(1, &float(g, "i", [64, 1])),
        "gather(f32[64, 10], f32[64, 1]): elements are chosen by u32, not f32 / cast with `.to_u32()`, or feed u32",
    );
    says(
        |g| float(g, "x", [64, 10]).index_select(1, &labels(g, [2, 3])),
        "index_select(f32[64, 10], u32[2, 3]): the index must have one axis, not the shape [2, 3] / elements by an \
         index of their own for each line are chosen by `gather`",
    );
    says(
        |g| float(g, "x", [64, 10]).masked_fill(&labels(g, [64]), 0.0),
        "masked_fill(f32[64, 10], u32[64]): the mask [64] does not broadcast to [64, 10] / sizes are aligned from the \
         last axis and must be equal or 1",
    );
    says(
        |g| float(g, "x", [64]).tril(0),
        "tril(f32[64]): a triangle is taken of matrices, not of [64] / give the tensor two axes or more",
    );
    says(|g| float(g, "x", [64, 10]).max(2).0, "max(f32[64, 10]): there is no axis 2: [64, 10] has 2 axes");
}

#[test]
fn sorting_says_what_it_takes() {
    says(
        |g| labels(g, [64]).argsort(0, false),
        "argsort(u32[64]): only floats are sorted, not u32 / cast with `.to_f32()`",
    );
    says(
        |g| float(g, "x", [64, 10]).topk(11, -1, true).0,
        "topk(f32[64, 10]): there are no 11 elements: axis 1 of [64, 10] has 10",
    );
}

#[test]
fn parts_and_arrangements_say_what_fits() {
    says(
        |g| float(g, "x", [7, 3]).split_sizes(0, &[2, 4]).remove(0),
        "split(f32[7, 3]): the sizes [2, 4] add up to 6, axis 0 has 7 elements",
    );
    says(|g| float(g, "x", [7]).split(0, 0).remove(0), "split(f32[7]): a part has one element or more, not 0");
    says(|g| float(g, "x", [7]).chunk(0, 0).remove(0), "chunk(f32[7]): there is at least one chunk, not 0");
    says(
        |g| stack(&[&float(g, "x", [7]), &float(g, "y", [6])], 0),
        "stack(f32[7], f32[6]): input 1 is f32[6], input 0 is f32[7] / only tensors of one shape are stacked: `concat` \
         joins them along an axis that they have",
    );
    says(
        |g| float(g, "x", [7, 3]).repeat(&[2]),
        "repeat(f32[7, 3]): [2] does not say how often all axes of [7, 3] are repeated / an axis that stays as it is \
         has the number 1",
    );
    says(|g| float(g, "x", [7]).norm(-1.0, [0]), "norm(f32[7]): the norm's p is -1 / take 0 or more, ∞ or −∞");
}

#[test]
fn einsum_says_what_is_wrong_with_an_equation() {
    let on = |equation: &'static str, expected: &str| {
        says(|g| einsum(equation, &[&float(g, "a", [4, 5]), &float(g, "b", [5, 3])]), expected);
    };
    let fix = "sizes of one name must be equal or 1";
    on("ij,jk,kl->il", "einsum(f32[4, 5], f32[5, 3]): `ij,jk,kl->il` names 3 tensors, but there are 2");
    on("ij,kj->ik", &format!("einsum(f32[4, 5], f32[5, 3]): `j` is 5 in one tensor and 3 in another / {fix}"));
    on("ij,jk->il", "einsum(f32[4, 5], f32[5, 3]): `l` of the result occurs in no input of `ij,jk->il`");
    on(
        "ijk,kl->il",
        "einsum(f32[4, 5], f32[5, 3]): `ijk` names 3 axes, [4, 5] has 2 / `...` covers axes without names",
    );
    on("i2,jk->i", "einsum(f32[4, 5], f32[5, 3]): `2` in `i2` is neither a letter nor `...`");
    on(
        "ii,jk->i",
        "einsum(f32[4, 5], f32[5, 3]): `i` occurs twice in `ii`: diagonals are not supported / take the diagonal with \
         `gather` first",
    );
    says(
        |g| float(g, "a", [4, 5]).bmm(&float(g, "b", [5, 3])),
        "bmm(f32[4, 5], f32[5, 3]): expected [B, M, K] and [B, K, N], not [4, 5] and [5, 3] / `matmul` takes any \
         batches that broadcast",
    );
}

#[test]
fn norms_of_rows_say_which_sizes_fit() {
    let params = Params::seeded(0);
    let norm = |name: &str, y: &dyn Fn(&Params) -> Tensor, expected: &str| {
        assert_brief(&compile_error(&params, &y(&params.at(name))), expected);
    };
    norm(
        "layer",
        &|p| LayerNorm::new(p, [20, 64]).forward(&float(&train(), "x", [8, 64, 20])),
        "layer_norm(f32[8, 64, 20], f32[20, 64], f32[20, 64]): expected [..., 20, 64], not [8, 64, 20] / the norm is \
         made for the sizes of the last axes of its input",
    );
    norm(
        "rms",
        &|p| {
            let options = RmsNormOptions::new().eps(-1.0);
            RmsNorm::with(p, [64], options).forward(&float(&train(), "x", [8, 64]))
        },
        "rms_norm(f32[8, 64], f32[64]): eps must be a number that is not negative, not -1",
    );
    norm(
        "groups",
        &|p| GroupNorm::new(p, 3, 8).forward(&float(&train(), "x", [2, 8, 5])),
        "group_norm(f32[2, 8, 5], f32[8], f32[8]): 3 groups do not divide 8 channels / choose a number that divides \
         the channels: 1 normalises all of them together",
    );
    norm(
        "channels",
        &|p| GroupNorm::new(p, 2, 8).forward(&float(&train(), "x", [2, 6, 5])),
        "group_norm(f32[2, 6, 5]): axis 1 of [2, 6, 5] has 6 channels, the layer has 8 / make the layer with 6 \
         channels, or the layer before it with 8 outputs",
    );
    says(
        |g| float(g, "x", [1, 4]).group_norm(4, None, None, 1e-5),
        "group_norm(f32[1, 4]): expected more than 1 value per group, got [1, 4] in 4 groups / choose fewer groups: a \
         single value is normalised to 0, whatever it is",
    );
}

#[test]
fn activations_say_which_options_they_take() {
    let x = |g: &Graph| float(g, "x", [4, 5]);
    says(
        |g| x(g).prelu(&float(g, "w", [3])),
        "prelu(f32[4, 5], f32[3]): the weight must be [1] or [5], not [3] / axis 1 of [4, 5] holds the channels: make \
         the layer with 1 or 5 weights",
    );
    says(
        |g| x(g).glu(1),
        "glu(f32[4, 5]): axis 1 of [4, 5] has 5 elements, which are not two halves / give the layer before it twice as \
         many outputs as are wanted",
    );
    says(|g| x(g).hardtanh(1.0, -1.0), "hardtanh(f32[4, 5]): the lower bound 1 is above the upper bound -1");
    says(|g| x(g).celu(0.0), "celu(f32[4, 5]): alpha must not be 0: x is divided by it / 1 is PyTorch's default");
    says(|g| x(g).softshrink(-1.0), "softshrink(f32[4, 5]): lambda must not be negative, but is -1");
    says(|g| x(g).elu(f64::NAN), "elu(f32[4, 5]): alpha must be a number, not NaN");
    says(
        |g| x(g).softplus_with(0.0, 20.0),
        "softplus(f32[4, 5]): beta must not be 0: the result is divided by it / 1 is PyTorch's default",
    );
    says(
        |g| Softmax2d.forward(&x(g)),
        "softmax2d(f32[4, 5]): expected [N, C, H, W] or [C, H, W], not [4, 5] / along any axis of any tensor: \
         `Softmax::new(axis)`",
    );
    says(
        |g| x(g).bernoulli([0, 0], 0, &float(g, "step", [])),
        "bernoulli(f32[4, 5], f32[]): the step must be a u32 without axes, not f32[] / graph.scheduled(\"step\", \
         DType::U32, …)",
    );
}
