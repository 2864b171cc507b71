//! Prefetching: a background thread gathers the rows of the next chunk of steps while the device runs the current
//! chunk.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use wgrad_core::{Error, Result};

use crate::error::TrainError;

/// Producer of items, such as the input arrays of steps, in the order in which they are requested.
pub(super) enum Producer<'m, W, T> {
    /// Produces an item when it is taken.
    OnDemand(VecDeque<W>, &'m (dyn Fn(W) -> Result<T> + Sync)),
    /// Produces an item as soon as it is requested, on another thread.
    Ahead(Sender<W>, Receiver<Result<T>>),
}

impl<W, T> Producer<'_, W, T> {
    /// Returns the number of items to request before the first item is taken.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::OnDemand(..) => 1,
            Self::Ahead(..) => 2,
        }
    }

    /// Requests an item.
    pub(super) fn request(&mut self, work: W) -> Result<()> {
        match self {
            Self::OnDemand(works, _) => works.push_back(work),
            Self::Ahead(works, _) => works.send(work).map_err(|_| ended())?,
        }
        Ok(())
    }

    /// Returns the item that was requested first.
    pub(super) fn take(&mut self) -> Result<T> {
        match self {
            Self::OnDemand(works, make) => make(works.pop_front().ok_or_else(ended)?),
            Self::Ahead(_, made) => made.recv().map_err(|_| ended())?,
        }
    }
}

fn ended() -> Error {
    TrainError::GatherEnded.into()
}

/// Calls `body` with a producer, which computes items with `make`. If `ahead` is true, the producer uses a
/// background thread, which ends when `body` returns. If `ahead` is false or the system cannot start the thread,
/// items are computed when they are taken.
pub(super) fn with_producer<W: Send, T: Send, R>(
    ahead: bool,
    make: &(dyn Fn(W) -> Result<T> + Sync),
    body: impl FnOnce(&mut Producer<'_, W, T>) -> R,
) -> R {
    thread::scope(|scope| {
        let mut producer = Producer::OnDemand(VecDeque::new(), make);
        if ahead {
            let (requests, works) = channel::<W>();
            let (send, items) = channel();
            let work = move || works.into_iter().map(make).all(|item| send.send(item).is_ok());
            if thread::Builder::new().name("wgrad rows".into()).spawn_scoped(scope, work).is_ok() {
                producer = Producer::Ahead(requests, items);
            }
        }
        body(&mut producer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_the_order_of_their_requests() {
        for ahead in [false, true] {
            let made = with_producer(ahead, &|item: i32| Ok(item * 10), |producer| {
                assert_eq!(producer.depth(), 1 + usize::from(ahead));
                (1..4).for_each(|item| producer.request(item).unwrap());
                let first = producer.take().unwrap();
                producer.request(9).unwrap();
                [first, producer.take().unwrap(), producer.take().unwrap(), producer.take().unwrap()]
            });
            assert_eq!(made, [10, 20, 30, 90]);
        }
    }

    #[test]
    fn an_error_comes_in_the_place_of_its_item() {
        for ahead in [false, true] {
            let failing = |item: u32| if item == 2 { Err(Error::Other("made".into())) } else { Ok(item) };
            with_producer(ahead, &failing, |producer| {
                (1..100).for_each(|item| producer.request(item).unwrap());
                assert_eq!(producer.take().unwrap(), 1);
                assert_eq!(producer.take().unwrap_err().to_string(), "made");
            });
        }
    }
}
