//! Writing acknowledgements down. One that cannot be written must not keep the others: a damaged page under one binding is
//! found by halving, and that binding is set aside.

use super::Gateway;
use crate::clock;
use crate::store::{CursorMove, Error};

/// Commits that may fail before the rest is left for the next time: where all of them fail, halving finds nobody.
const ATTEMPTS: usize = 64;

/// Acknowledgements that are not on disk.
#[derive(Debug, Default)]
pub struct Unwritten {
    /// To be tried again with the next ones, and why they failed.
    pub later: Vec<CursorMove>,
    pub error: Option<Error>,
    /// Those of bindings that cannot be written although others can.
    pub guilty: Vec<CursorMove>,
}

impl Gateway {
    /// Writes these down, in one transaction where nothing is wrong.
    pub async fn acknowledge(&self, mut moves: Vec<CursorMove>) -> Unwritten {
        // What several terminals say of one binding stays together (docs/ledger.md, rule 15).
        moves.sort_by_key(|moved| moved.binding);
        let mut unwritten = Unwritten::default();
        let mut waiting = vec![moves];
        let mut failed = 0;
        while let Some(some) = waiting.pop() {
            if some.is_empty() {
                continue;
            }
            let kept = some.clone();
            let Err(error) = self.store.settle(some, clock::now()).await else { continue };
            failed += 1;
            let of_a_row = matches!(error, Error::Damaged(_) | Error::Sqlite(_) | Error::Unreadable(_));
            if !of_a_row || failed > ATTEMPTS {
                unwritten.later = kept;
                unwritten.later.extend(waiting.into_iter().flatten());
                unwritten.error = Some(error);
                return unwritten;
            }
            match halves(kept) {
                Ok((first, second)) => waiting.extend([second, first]),
                Err(guilty) => {
                    unwritten.guilty.extend(guilty);
                    unwritten.error = Some(error);
                }
            }
        }
        unwritten
    }
}

/// Two halves, without parting what belongs to one binding; all of it comes back where there is only one.
fn halves(mut moves: Vec<CursorMove>) -> Result<(Vec<CursorMove>, Vec<CursorMove>), Vec<CursorMove>> {
    let middle = moves.len() / 2;
    let Some(binding) = moves.get(middle).map(|moved| moved.binding) else { return Err(moves) };
    let begin = moves.partition_point(|moved| moved.binding < binding);
    let end = moves.partition_point(|moved| moved.binding <= binding);
    let at = if begin > 0 { begin } else { end };
    if at >= moves.len() {
        return Err(moves);
    }
    let second = moves.split_off(at);
    Ok((moves, second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::Seq;

    fn moves(bindings: &[i64]) -> Vec<CursorMove> {
        let of = |binding: &i64| CursorMove { binding: *binding, from: Seq(0), upto: Seq(1), exceptions: Vec::new() };
        bindings.iter().map(of).collect()
    }

    fn bindings(moves: &[CursorMove]) -> Vec<i64> {
        moves.iter().map(|moved| moved.binding).collect()
    }

    #[test]
    fn what_belongs_to_one_binding_is_not_parted() {
        for (all, first) in
            [(&[1, 2][..], &[1][..]), (&[1, 1, 2], &[1, 1]), (&[1, 2, 2, 2], &[1]), (&[1, 2, 3, 4], &[1, 2])]
        {
            let (left, right) = halves(moves(all)).unwrap();
            assert_eq!(bindings(&left), first, "{all:?}");
            assert_eq!(bindings(&right), all[first.len()..], "{all:?}");
        }
        assert_eq!(bindings(&halves(moves(&[7, 7, 7])).unwrap_err()), [7, 7, 7]);
        assert!(halves(Vec::new()).is_err());
    }
}
