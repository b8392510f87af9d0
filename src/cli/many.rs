//! Many requests of one command: several at a time, and not more.

use tokio::task::JoinSet;

/// Requests under way at the same time.
const AT_ONCE: usize = 8;

/// Does this work for each item; answers in the order of the items.
pub(super) async fn each<I, T, W>(items: impl IntoIterator<Item = I>, work: impl Fn(I) -> W) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    let mut done = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        if under_way.len() >= AT_ONCE
            && let Some(ended) = under_way.join_next().await
        {
            done.push(ended?);
        }
        let work = work(item);
        under_way.spawn(async move { (place, work.await) });
    }
    while let Some(ended) = under_way.join_next().await {
        done.push(ended?);
    }
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, answer)| answer).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn answers_keep_the_order_and_few_are_under_way() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let done = each(0..100_usize, |item| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..item % 7 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                item
            }
        });
        assert_eq!(done.await.unwrap(), (0..100).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE);
    }
}
