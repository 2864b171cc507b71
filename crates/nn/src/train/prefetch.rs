//! The rows of the next steps, made ready while the device runs the last ones.

use std::sync::mpsc::sync_channel;
use std::thread;

use wgrad_core::{Error, Result};

/// Makes something for each piece of work and hands it on, in order. With `ahead`, a thread of its own makes it, one piece
/// ahead; where there are no threads, as in a browser, it is made when it is needed. The results are the same.
pub(super) fn in_order<W: Sync, T: Send>(
    work: &[W],
    ahead: bool,
    make: impl Fn(&W) -> Result<T> + Sync,
    mut take: impl FnMut(&W, T) -> Result<()>,
) -> Result<()> {
    let make = &make;
    let mut by_thread = || {
        thread::scope(|scope| {
            let (send, receive) = sync_channel(1);
            let work_ahead = move || work.iter().map(make).all(|made| send.send(made).is_ok());
            let Ok(_) = thread::Builder::new().name("wgrad rows".into()).spawn_scoped(scope, work_ahead) else {
                return None;
            };
            let mut one = |piece| {
                let ended = |_| Error::Data("the thread that gathers rows has ended".into());
                take(piece, receive.recv().map_err(ended)??)
            };
            // Afterwards the receiver goes, and with it the thread.
            Some(work.iter().try_for_each(&mut one))
        })
    };
    let done = if ahead && work.len() > 1 { by_thread() } else { None };
    done.unwrap_or_else(|| work.iter().try_for_each(|piece| take(piece, make(piece)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_with_and_without_a_thread() {
        for ahead in [false, true] {
            let mut seen = vec![];
            let take = |&piece: &i32, made: i32| {
                seen.push((piece, made));
                Ok(())
            };
            in_order(&[1, 2, 3, 4], ahead, |piece| Ok(piece * 10), take).unwrap();
            assert_eq!(seen, [(1, 10), (2, 20), (3, 30), (4, 40)]);
        }
    }

    #[test]
    fn an_error_on_either_side_ends_both() {
        for ahead in [false, true] {
            let failing = |&piece: &u32| if piece == 2 { Err(Error::Data("made".into())) } else { Ok(piece) };
            let work: Vec<u32> = (0..1000).collect();
            let mut taken = 0;
            let made = in_order(&work, ahead, failing, |_, _| {
                taken += 1;
                Ok(())
            });
            assert_eq!((made.unwrap_err().to_string(), taken), ("made".to_string(), 2));
            let taken = in_order(&work, ahead, |piece| Ok(*piece), |_, _| Err(Error::Data("taken".into())));
            assert_eq!(taken.unwrap_err().to_string(), "taken");
        }
    }
}
