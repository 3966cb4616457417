//! Several logs become one, in the order of their times.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::clock::LogTime;

/// Holds one item of each stream, and gives the earliest of them. Of items of one time, that of the stream that was named
/// first. A stream that goes back in time keeps its own order.
#[derive(Debug)]
pub struct Merge<T> {
    heap: BinaryHeap<Reverse<(LogTime, usize)>>,
    heads: Vec<Option<T>>,
}

impl<T> Merge<T> {
    /// Of so many streams.
    #[must_use]
    pub fn of(streams: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(streams), heads: (0..streams).map(|_| None).collect() }
    }

    /// Puts in the next item of a stream, at the start or after its former one was taken.
    pub fn put(&mut self, stream: usize, at: LogTime, item: T) {
        if let Some(head) = self.heads.get_mut(stream) {
            *head = Some(item);
            self.heap.push(Reverse((at, stream)));
        }
    }

    /// Takes the earliest item out, with its stream, of which the next one is to be put in.
    pub fn take(&mut self) -> Option<(usize, T)> {
        let Reverse((_, stream)) = self.heap.pop()?;
        let item = self.heads.get_mut(stream)?.take()?;
        Some((stream, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_in_any_order_become_one_in_the_order_of_time() {
        let streams: [&[i64]; 4] = [&[20, 21, 30], &[], &[1, 3, 2, 22], &[20, 40]];
        let mut rest = streams.map(|times| times.iter());
        let mut merge = Merge::of(streams.len());
        for (stream, times) in rest.iter_mut().enumerate() {
            times.next().into_iter().for_each(|at| merge.put(stream, LogTime(*at), *at));
        }
        let mut merged = Vec::new();
        while let Some((stream, at)) = merge.take() {
            merged.push((at, stream));
            rest[stream].next().into_iter().for_each(|at| merge.put(stream, LogTime(*at), *at));
        }
        // What goes back inside of a stream comes as soon as it can.
        assert_eq!(merged, [(1, 2), (3, 2), (2, 2), (20, 0), (20, 3), (21, 0), (22, 2), (30, 0), (40, 3)]);
    }
}
