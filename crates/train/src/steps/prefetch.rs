//! The rows of the next steps, made ready while the device runs the last ones.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use wgrad_core::{Error, Result};

/// Makes pieces in the order in which they were asked for.
pub(super) enum Maker<'m, W, T> {
    /// When they are wanted.
    Here(VecDeque<W>, &'m (dyn Fn(W) -> Result<T> + Sync)),
    /// As soon as they are asked for, on a thread of its own.
    Ahead(Sender<W>, Receiver<Result<T>>),
}

impl<W, T> Maker<'_, W, T> {
    /// How many pieces are worth asking for before the first of them is wanted.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Here(..) => 1,
            Self::Ahead(..) => 2,
        }
    }

    pub(super) fn ask(&mut self, work: W) -> Result<()> {
        match self {
            Self::Here(works, _) => works.push_back(work),
            Self::Ahead(works, _) => works.send(work).map_err(|_| ended())?,
        }
        Ok(())
    }

    /// The piece that was asked for first.
    pub(super) fn take(&mut self) -> Result<T> {
        match self {
            Self::Here(works, make) => make(works.pop_front().ok_or_else(ended)?),
            Self::Ahead(_, made) => made.recv().map_err(|_| ended())?,
        }
    }
}

fn ended() -> Error {
    Error::Data("the thread that gathers rows has ended".into())
}

/// Runs `body` with a maker of pieces: with `ahead` one with a thread of its own, where there are threads. The thread ends
/// with `body`.
pub(super) fn with_maker<W: Send, T: Send, R>(
    ahead: bool,
    make: &(dyn Fn(W) -> Result<T> + Sync),
    body: impl FnOnce(&mut Maker<'_, W, T>) -> R,
) -> R {
    thread::scope(|scope| {
        let mut maker = Maker::Here(VecDeque::new(), make);
        if ahead {
            let (ask, works) = channel::<W>();
            let (hand_over, pieces) = channel();
            let work = move || works.into_iter().map(make).all(|piece| hand_over.send(piece).is_ok());
            if thread::Builder::new().name("wgrad rows".into()).spawn_scoped(scope, work).is_ok() {
                maker = Maker::Ahead(ask, pieces);
            }
        }
        body(&mut maker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_the_order_asked_for_with_and_without_a_thread() {
        for ahead in [false, true] {
            let made = with_maker(ahead, &|piece: i32| Ok(piece * 10), |maker| {
                assert_eq!(maker.depth(), 1 + usize::from(ahead));
                (1..4).for_each(|piece| maker.ask(piece).unwrap());
                let first = maker.take().unwrap();
                maker.ask(9).unwrap();
                [first, maker.take().unwrap(), maker.take().unwrap(), maker.take().unwrap()]
            });
            assert_eq!(made, [10, 20, 30, 90]);
        }
    }

    #[test]
    fn an_error_comes_in_order_and_the_rest_is_dropped() {
        for ahead in [false, true] {
            let failing = |piece: u32| if piece == 2 { Err(Error::Data("made".into())) } else { Ok(piece) };
            with_maker(ahead, &failing, |maker| {
                (1..100).for_each(|piece| maker.ask(piece).unwrap());
                assert_eq!(maker.take().unwrap(), 1);
                assert_eq!(maker.take().unwrap_err().to_string(), "made");
            });
        }
    }
}
