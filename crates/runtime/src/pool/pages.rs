use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// Hands out runs of whole pages of one fixed region: best fit, neighbours merged when freed.
///
/// Only bookkeeping: it never touches the pages, so all of it is safe code and is tested natively.
#[derive(Debug)]
pub struct PageAllocator {
    /// First page of each free run, and how many pages it has. No two runs touch.
    free: BTreeMap<usize, usize>,
    pages: usize,
    used: usize,
    high_water: usize,
}

impl PageAllocator {
    /// A region of `bytes`, rounded down to whole pages, all of it free.
    pub fn new(bytes: usize) -> Self {
        let pages = bytes / PAGE_BYTES;
        let free = if pages == 0 { BTreeMap::new() } else { BTreeMap::from([(0, pages)]) };
        Self { free, pages, used: 0, high_water: 0 }
    }

    /// Takes room for `bytes`, rounded up to whole pages; answers its offset in the region, in bytes.
    ///
    /// # Errors
    ///
    /// No free run is long enough.
    pub fn allocate(&mut self, bytes: usize) -> Result<usize, PoolFull> {
        let wanted = bytes.div_ceil(PAGE_BYTES).max(1);
        let fits = self.free.iter().filter(|&(_, &length)| length >= wanted);
        let Some((&start, &length)) = fits.min_by_key(|&(_, &length)| length) else {
            return Err(PoolFull {
                wanted: wanted.saturating_mul(PAGE_BYTES),
                free: self.free_bytes(),
                largest: self.largest_free(),
                total: self.total_bytes(),
            });
        };
        self.free.remove(&start);
        if length > wanted {
            self.free.insert(start + wanted, length - wanted);
        }
        self.used += wanted;
        self.high_water = self.high_water.max(self.used);
        Ok(start * PAGE_BYTES)
    }

    /// Gives back `bytes` at `offset`, as [`allocate`](Self::allocate) answered it, or whole pages of it.
    ///
    /// # Errors
    ///
    /// The range is not made of pages in use; nothing was changed.
    pub fn free(&mut self, offset: usize, bytes: usize) -> Result<(), NotAllocated> {
        let (mut start, mut length) = self.allocated_run(offset, bytes)?;
        let released = length;
        if let Some((&before, &pages)) = self.free.range(..start).next_back()
            && before + pages == start
        {
            self.free.remove(&before);
            start = before;
            length += pages;
        }
        if let Some(pages) = self.free.remove(&(start + length)) {
            length += pages;
        }
        self.free.insert(start, length);
        self.used -= released;
        Ok(())
    }

    /// Bytes of the whole region.
    pub fn total_bytes(&self) -> usize {
        self.pages * PAGE_BYTES
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.used * PAGE_BYTES
    }

    /// Bytes not in use.
    pub fn free_bytes(&self) -> usize {
        self.total_bytes() - self.used_bytes()
    }

    /// The most bytes that were ever in use at once.
    pub fn high_water_bytes(&self) -> usize {
        self.high_water * PAGE_BYTES
    }

    /// Bytes of the longest free run: the largest that [`allocate`](Self::allocate) can answer now.
    pub fn largest_free(&self) -> usize {
        self.free.values().max().map_or(0, |pages| pages * PAGE_BYTES)
    }

    /// The run as (first page, pages), where all of it is in use.
    fn allocated_run(&self, offset: usize, bytes: usize) -> Result<(usize, usize), NotAllocated> {
        let start = offset / PAGE_BYTES;
        let length = bytes.div_ceil(PAGE_BYTES);
        let end = start.checked_add(length).ok_or(NotAllocated)?;
        let before = self.free.range(..end).next_back();
        let touches_free = before.is_some_and(|(&first, &pages)| first + pages > start);
        if !offset.is_multiple_of(PAGE_BYTES) || length == 0 || end > self.pages || touches_free {
            return Err(NotAllocated);
        }
        Ok((start, length))
    }
}

/// No run of free pages is long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room for {wanted} bytes of native code: {free} of {total} bytes are free, {largest} of them in one piece"
)]
pub struct PoolFull {
    /// Bytes asked for, or estimated, in whole pages.
    pub wanted: usize,
    /// Bytes free in all.
    pub free: usize,
    /// Bytes of the longest free run.
    pub largest: usize,
    /// Bytes of the region.
    pub total: usize,
}

/// A range was given back that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range is not made of pages in use")]
pub struct NotAllocated;

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: usize = 64 * PAGE_BYTES;

    #[test]
    fn runs_are_whole_pages_and_do_not_overlap() {
        let mut pages = PageAllocator::new(REGION);
        let first = pages.allocate(1).unwrap();
        let second = pages.allocate(PAGE_BYTES + 1).unwrap();
        assert_eq!((first, second), (0, PAGE_BYTES));
        assert_eq!(pages.used_bytes(), 3 * PAGE_BYTES);
        assert_eq!(pages.allocate(0).unwrap(), 3 * PAGE_BYTES, "nothing is still a page");
    }

    #[test]
    fn a_full_region_says_what_is_missing_and_stays_as_it_was() {
        let mut pages = PageAllocator::new(REGION);
        pages.allocate(60 * PAGE_BYTES).unwrap();
        let full = pages.allocate(5 * PAGE_BYTES).unwrap_err();
        let four = 4 * PAGE_BYTES;
        assert_eq!(full, PoolFull { wanted: 5 * PAGE_BYTES, free: four, largest: four, total: REGION });
        assert_eq!(pages.used_bytes(), 60 * PAGE_BYTES);
        assert!(pages.allocate(four).is_ok());
        assert_eq!(pages.largest_free(), 0);
        assert!(pages.allocate(usize::MAX).is_err());
    }

    #[test]
    fn the_tightest_hole_is_taken_first() {
        let mut pages = PageAllocator::new(REGION);
        let wide = pages.allocate(8 * PAGE_BYTES).unwrap();
        pages.allocate(PAGE_BYTES).unwrap();
        let narrow = pages.allocate(2 * PAGE_BYTES).unwrap();
        pages.allocate(PAGE_BYTES).unwrap();
        pages.free(wide, 8 * PAGE_BYTES).unwrap();
        pages.free(narrow, 2 * PAGE_BYTES).unwrap();
        assert_eq!(pages.allocate(2 * PAGE_BYTES).unwrap(), narrow);
    }

    #[test]
    fn what_is_not_in_use_cannot_be_freed() {
        let mut pages = PageAllocator::new(REGION);
        let run = pages.allocate(4 * PAGE_BYTES).unwrap();
        for (offset, bytes) in [
            (run + 1, PAGE_BYTES),
            (run, 5 * PAGE_BYTES),
            (8 * PAGE_BYTES, PAGE_BYTES),
            (run, 0),
            (usize::MAX & !(PAGE_BYTES - 1), usize::MAX),
        ] {
            assert_eq!(pages.free(offset, bytes), Err(NotAllocated), "{offset} {bytes}");
        }
        pages.free(run, 4 * PAGE_BYTES).unwrap();
        assert_eq!(pages.free(run, 4 * PAGE_BYTES), Err(NotAllocated), "twice");
        assert_eq!(pages.largest_free(), REGION);
    }

    #[test]
    fn random_use_keeps_the_books_and_merges_back_to_one_run() {
        for seed in 1..=20u64 {
            let mut random = Xorshift(seed);
            let mut pages = PageAllocator::new(REGION);
            let mut live: Vec<(usize, usize)> = Vec::new();
            for _ in 0..2000 {
                if random.below(2) == 0 && !live.is_empty() {
                    let (offset, bytes) = live.swap_remove(random.below(live.len()));
                    pages.free(offset, bytes).unwrap();
                } else {
                    let bytes = 1 + random.below(9 * PAGE_BYTES);
                    if let Ok(offset) = pages.allocate(bytes) {
                        assert!(live.iter().all(|&(o, b)| offset + bytes <= o || o + b <= offset));
                        live.push((offset, bytes.next_multiple_of(PAGE_BYTES)));
                    }
                }
                let in_use: usize = live.iter().map(|(_, bytes)| bytes).sum();
                assert_eq!(pages.used_bytes(), in_use);
                assert_eq!(pages.free.values().sum::<usize>() * PAGE_BYTES, pages.free_bytes());
                assert!(runs_do_not_touch(&pages));
            }
            for (offset, bytes) in live.drain(..) {
                pages.free(offset, bytes).unwrap();
            }
            assert_eq!(pages.free, BTreeMap::from([(0, 64)]), "seed {seed}");
            assert!(pages.high_water_bytes() > 0);
        }
    }

    fn runs_do_not_touch(pages: &PageAllocator) -> bool {
        let runs: Vec<_> = pages.free.iter().collect();
        runs.windows(2).all(|pair| pair[0].0 + pair[0].1 < *pair[1].0)
    }

    struct Xorshift(u64);

    impl Xorshift {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }
}
