//! A long row of things that grows without being copied.

/// Things in one piece: some 30 kB of entries.
const PIECE: usize = 1024;

/// Like a vector that never moves what it holds: one that does needs twice the room while it moves, leaves holes behind, and lets
/// one failure in a million wait for milliseconds.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        let last = self.pieces.last().map_or(0, Vec::len);
        self.pieces.len().saturating_sub(1).saturating_mul(PIECE).saturating_add(last)
    }

    pub(super) fn push(&mut self, thing: T) {
        match self.pieces.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => piece.push(thing),
            None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(thing);
                self.pieces.push(piece);
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let place = place as usize;
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }

    /// With their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.pieces.iter().flatten())
    }
}
