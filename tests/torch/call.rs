//! Recorded call of a PyTorch module or operator, with its arguments and options, and the graph into which it is
//! translated.

use std::cell::RefCell;

use serde_json::Value;
use wgrad::prelude::*;

use crate::fixture::Case;

/// Reason why a call adapter cannot translate a call to a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// wgrad lacks a feature. The text is the field `what` of an entry in `unsupported.json`.
    Lacks(String),
    /// wgrad's types cannot express the call, for example a negative size, or text instead of a number.
    Untypable(String),
}

/// Result of a call adapter: the outputs in PyTorch's order, or the reason why there are none.
pub type Outcome = Result<Vec<Tensor>, Refusal>;

/// Call adapter: a function that translates a call of PyTorch to a graph of wgrad.
pub type Adapter = fn(&Call<'_>) -> Outcome;

/// Returns the refusal of a call that needs a feature that wgrad lacks.
pub fn lacks<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Lacks(what.into()))
}

fn untypable<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Untypable(what.into()))
}

/// Tensor that a call adapter uses: the tensor's key in the fixture, the graph's input, and the data.
pub struct Feed {
    pub path: String,
    pub tensor: Tensor,
    pub array: Array,
}

/// One call of a PyTorch module or operator.
pub struct Call<'a> {
    pub graph: Graph,
    /// Variables of the layers that the call adapter creates. The test sets each to the PyTorch tensor of the same
    /// name.
    pub params: Params,
    pub case: &'a Case,
    pub fed: RefCell<Vec<Feed>>,
    /// Keys of the tensors that are constants in the graph and therefore have no gradient.
    pub constants: RefCell<Vec<String>>,
}

impl<'a> Call<'a> {
    pub fn new(case: &'a Case) -> Self {
        let graph = Graph::new(if case.train { Mode::Train } else { Mode::Evaluate });
        graph.allow(&lints::EVALUATION_IN_TRAINING_MODE);
        Self { graph, params: Params::seeded(0), case, fed: RefCell::default(), constants: RefCell::default() }
    }

    /// Returns an argument by its position or its name. For a module, it is an argument of `forward`.
    pub fn arg(&self, position: usize, name: &'a str) -> Arg<'_> {
        let value = self.case.args.get(&position.to_string()).or_else(|| self.case.args.get(name));
        Arg { call: self, name, value: value.unwrap_or(&Value::Null), given: value.is_some() }
    }

    /// Returns an argument that is passed by name.
    pub fn named(&self, name: &'a str) -> Arg<'_> {
        self.arg(usize::MAX, name)
    }

    /// Returns an option of a module. The fixture records all options, including defaults.
    pub fn option(&self, name: &'a str) -> Arg<'_> {
        let value = self.case.options.get(name);
        Arg { call: self, name, value: value.unwrap_or(&Value::Null), given: value.is_some() }
    }

    /// Returns the first argument as a tensor.
    pub fn x(&self) -> Result<Tensor, Refusal> {
        self.arg(0, "input").tensor()
    }

    /// Returns a parameter of a PyTorch module as an input of the graph with a gradient, for modules that are ops
    /// in wgrad.
    pub fn state(&self, name: &str) -> Option<Tensor> {
        let key = format!("state/{name}");
        self.case.has(&key).then(|| self.feed(&key))
    }

    /// Returns the first argument, or zeros if there is none. Some constructors of PyTorch fail before
    /// the module is called, while wgrad's modules fail when they are called and therefore need an input.
    pub fn x_or(&self, shape: &[usize]) -> Result<Tensor, Refusal> {
        if self.case.error.is_some() && self.case.args.is_empty() {
            return Ok(self.graph.constant(0.0).expand(shape));
        }
        self.x()
    }

    /// Applies a wgrad module to the first argument.
    pub fn module(&self, module: &impl Module) -> Outcome {
        Ok(vec![module.forward(&self.x()?)])
    }

    fn feed(&self, key: &str) -> Tensor {
        if let Some(fed) = self.fed.borrow().iter().find(|fed| fed.path == key) {
            return fed.tensor.clone();
        }
        let array = self.case.array(key);
        let dtype = if array.dtype() == DType::U32 { DType::U32 } else { DType::F32 };
        let tensor = self.graph.input(key, array.shape(), dtype);
        self.fed.borrow_mut().push(Feed { path: key.into(), tensor: tensor.clone(), array });
        tensor
    }
}

/// Argument or option of a call.
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    call: &'a Call<'a>,
    name: &'a str,
    pub value: &'a Value,
    given: bool,
}

impl<'a> Arg<'a> {
    /// Returns whether the argument is missing or is Python's `None`.
    pub fn is_none(&self) -> bool {
        self.value.is_null()
    }

    /// Returns whether the argument is present, even if it is `None`.
    pub fn is_given(&self) -> bool {
        self.given
    }

    /// Returns the argument unless it is missing or `None`.
    pub fn some(self) -> Option<Self> {
        (!self.is_none()).then_some(self)
    }

    /// Returns whether the argument is a tensor.
    pub fn is_tensor(&self) -> bool {
        self.key().is_some()
    }

    fn no<T>(&self, what: &str) -> Result<T, Refusal> {
        if !self.given {
            // A missing argument is not a wrong type: wgrad requires the argument, and PyTorch does not.
            return lacks(format!("no {}", self.name));
        }
        untypable(format!("{} is no {what}", self.name))
    }

    fn key(&self) -> Option<String> {
        Some(format!("in/{}", self.value.as_object()?.get("tensor")?.as_str()?))
    }

    /// Returns the argument as an input of the graph.
    pub fn tensor(&self) -> Result<Tensor, Refusal> {
        self.key().map_or_else(|| self.no("tensor"), |key| Ok(self.call.feed(&key)))
    }

    /// Returns the argument as a float tensor. PyTorch's integers, which are signed, are converted to floats.
    pub fn floats(&self) -> Result<Tensor, Refusal> {
        let Some(key) = self.key() else { return self.no("tensor") };
        let array = self.call.case.array(&key);
        let Some(words) = array.as_slice::<u32>() else { return self.tensor() };
        let values = words.iter().map(|&word| f64::from(word.cast_signed())).collect();
        Ok(self.call.graph.array(Array::new::<f64>(array.shape(), values).expect("the same shape")))
    }

    /// Returns the argument as a tensor, or `None` if it is Python's `None`.
    pub fn tensor_or_none(&self) -> Result<Option<Tensor>, Refusal> {
        self.some().map(|arg| arg.tensor()).transpose()
    }

    /// Returns the argument as a tensor. A number is converted to a constant.
    pub fn tensor_or_number(&self) -> Result<Tensor, Refusal> {
        if self.is_tensor() { self.tensor() } else { Ok(self.call.graph.constant(self.number()?)) }
    }

    /// Returns the argument as a list of tensors.
    pub fn tensors(&self) -> Result<Vec<Tensor>, Refusal> {
        self.items()?.iter().map(Self::tensor).collect()
    }

    /// Returns the data of a tensor argument, for functions of wgrad that take an array. It has no gradient.
    pub fn array(&self) -> Result<Array, Refusal> {
        let Some(key) = self.key() else { return self.no("tensor") };
        self.call.constants.borrow_mut().push(key.clone());
        Ok(self.call.case.array(&key))
    }

    /// Returns the elements of a list argument.
    pub fn items(&self) -> Result<Vec<Arg<'a>>, Refusal> {
        match self.value {
            Value::Array(items) => Ok(items.iter().map(|value| Arg { value, ..*self }).collect()),
            _ => self.no("list"),
        }
    }

    /// Returns the argument as a number. A tensor of one element counts as a number without a gradient.
    pub fn number(&self) -> Result<f64, Refusal> {
        match self.value {
            Value::Number(number) => Ok(number.as_f64().expect("a finite number")),
            Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
            Value::Object(object) if object.contains_key("number") => match object["number"].as_str() {
                Some("inf") => Ok(f64::INFINITY),
                Some("-inf") => Ok(f64::NEG_INFINITY),
                Some("nan") => Ok(f64::NAN),
                _ => self.no("number"),
            },
            _ => self.no("number"),
        }
    }

    pub fn number_or(&self, default: f64) -> Result<f64, Refusal> {
        self.some().map_or(Ok(default), |arg| arg.number())
    }

    /// Returns the argument as a whole number.
    pub fn int(&self) -> Result<isize, Refusal> {
        match self.value.as_i64().and_then(|value| isize::try_from(value).ok()) {
            Some(value) => Ok(value),
            None => self.no("whole number"),
        }
    }

    pub fn int_or(&self, default: isize) -> Result<isize, Refusal> {
        self.some().map_or(Ok(default), |arg| arg.int())
    }

    /// Returns the argument as whole numbers, from one number or a list.
    pub fn ints(&self) -> Result<Vec<isize>, Refusal> {
        match self.value {
            Value::Array(_) => self.items()?.iter().map(Self::int).collect(),
            _ => Ok(vec![self.int()?]),
        }
    }

    /// Returns the argument as a size: a whole number that is not negative.
    pub fn size(&self) -> Result<usize, Refusal> {
        match self.value.as_u64().and_then(|value| usize::try_from(value).ok()) {
            Some(value) => Ok(value),
            None => self.no("size"),
        }
    }

    pub fn size_or(&self, default: usize) -> Result<usize, Refusal> {
        self.some().map_or(Ok(default), |arg| arg.size())
    }

    /// Returns the argument as a list of sizes of any length.
    pub fn dims(&self) -> Result<Vec<usize>, Refusal> {
        match self.value {
            Value::Array(_) => self.items()?.iter().map(Self::size).collect(),
            _ => Ok(vec![self.size()?]),
        }
    }

    /// Returns the argument as a size per axis, from one number for all axes or a list.
    pub fn sizes<const D: usize>(&self) -> Result<[usize; D], Refusal> {
        let sizes = self.dims()?;
        match sizes.len() {
            1 => Ok([sizes[0]; D]),
            found => sizes.try_into().or_else(|_| self.no(&format!("{D} sizes but {found}"))),
        }
    }

    pub fn sizes_or<const D: usize>(&self, default: [usize; D]) -> Result<[usize; D], Refusal> {
        // For PyTorch, an empty list of strides means that the strides equal the kernel's sizes.
        match self.value {
            Value::Null => Ok(default),
            Value::Array(items) if items.is_empty() => Ok(default),
            _ => self.sizes(),
        }
    }

    pub fn flag(&self) -> Result<bool, Refusal> {
        self.value.as_bool().map_or_else(|| self.no("bool"), Ok)
    }

    pub fn flag_or(&self, default: bool) -> Result<bool, Refusal> {
        self.some().map_or(Ok(default), |arg| arg.flag())
    }

    pub fn text(&self) -> Result<&'a str, Refusal> {
        self.value.as_str().map_or_else(|| self.no("word"), Ok)
    }

    pub fn text_or(&self, default: &'a str) -> Result<&'a str, Refusal> {
        self.some().map_or(Ok(default), |arg| arg.text())
    }
}
