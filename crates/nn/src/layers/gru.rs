//! The gated recurrent unit (GRU): a layer and a cell for one time step.

use wgrad_core::Tensor;

use super::recurrent::{Recurrent, RecurrentKind, SingleState, TimeStep};
use super::recurrent_cell::RecurrentCell;

/// Marker type that selects the GRU as the [`RecurrentKind`].
#[derive(Clone, Copy, Debug)]
pub struct GruKind;

impl RecurrentKind for GruKind {
    const NAME: &'static str = "gru";
    const CELL: &'static str = "gru_cell";
    const GATES: usize = 3;
    const SUMMED_BIASES: usize = 2;
    const STATES: usize = 1;
    const NONLINEAR: bool = false;

    fn step(step: &TimeStep, h: &Tensor, _: &Tensor) -> [Tensor; 2] {
        let product = h.linear(&step.hh, None);
        let part = |gate: usize| (TimeStep::part(&step.x, gate, 3), TimeStep::part(&product, gate, 3));
        let [(xr, hr), (xz, hz), (xn, hn)] = [0, 1, 2].map(part);
        let hn = step.separate_bias.as_ref().map_or_else(|| hn.clone(), |bias| &hn + bias);
        let (r, z) = ((xr + hr).sigmoid(), (xz + hz).sigmoid());
        let n = (xn + r * hn).tanh();
        // This is (1 − z)·n + z·h with one multiplication.
        let h = &n + z * (h - &n);
        [h.clone(), h]
    }
}

impl SingleState for GruKind {}

/// Stacked gated recurrent unit (GRU) layers; PyTorch's `GRU`. For input `x` and previous state `h`:
///
/// ```text
/// r  = σ(W_r x + b_r + U_r h + d_r)
/// z  = σ(W_z x + b_z + U_z h + d_z)
/// n  = tanh(W_n x + b_n + r·(U_n h + d_n))
/// h' = (1 − z)·n + z·h
/// ```
///
/// `W` and `b` are the rows of `weight_ih` and `bias_ih` for one gate, `U` and `d` are those of `weight_hh` and
/// `bias_hh`.
///
/// Shapes, options (except `proj_size`), initial values and variable names are those of [`Lstm`](super::Lstm);
/// weights are `[3·hidden, …]` with the rows of r first, then z, then n.
///
/// Cho et al.: "Learning phrase representations using RNN encoder-decoder", 2014. The reset gate `r` is applied after
/// the product with `U_n`, as in PyTorch and cuDNN.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Gru;
/// let gru = Gru::new(&Params::seeded(7).at("gru"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let (y, h) = gru.forward(&graph.input("x", [5, 3, 10], DType::F32), None);
/// assert_eq!((y.shape().dims(), h.shape().dims()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// ```
pub type Gru = Recurrent<GruKind>;

/// A cell that computes one time step of a [`Gru`]; PyTorch's `GRUCell`. Shapes and variables are those of
/// [`LstmCell`](super::LstmCell).
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::GruCell;
/// let cell = GruCell::new(&Params::seeded(7).at("cell"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(cell.forward(&graph.input("x", [3, 10], DType::F32), None).shape().dims(), [3, 20]);
/// ```
pub type GruCell = RecurrentCell<GruKind>;
