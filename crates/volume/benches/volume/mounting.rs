//! How long a volume takes to mount that has much in it.

use crate::{create, dataset, mount, new_object, noise, row, throughput, timed, title};
use cloister_volume::BLOCK;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// Filling stops here, and the title says how much there was.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn compare(folder: &Path, length: u64) -> Result<(), Box<dyn Error>> {
    let file = folder.join("mount.volume");
    let piece = noise(1 << 20);
    let volume = create(&file)?;
    let (filled, id) = new_object(&volume)?;
    let began = Instant::now();
    let mut written = 0;
    while written < length && began.elapsed() < PATIENCE {
        if volume.is_crowded() {
            volume.commit()?;
        }
        filled.write(&volume.begin(), id, written, &piece)?;
        written += piece.len() as u64;
    }
    volume.commit()?;
    title(&format!("A volume with {:.2} GiB of data", written as f64 / f64::from(1 << 30)));
    row("filled with", &throughput(written, began.elapsed()));
    drop((filled, volume));

    let mut times = Vec::new();
    for _ in 0..5 {
        let (volume, time) = timed(|| mount(&file, 64 << 20))?;
        times.push(time);
        let mut into = vec![0; BLOCK];
        let last = written - BLOCK as u64;
        let (_, first) = timed(|| Ok(dataset(&volume)?.read(id, last, &mut into)?))?;
        assert!(piece.ends_with(&into), "what is read is not what was written");
        times.push(first);
    }
    let median = |which: usize| {
        let mut times: Vec<_> = times.iter().skip(which).step_by(2).collect();
        times.sort();
        format!("{:.2} ms", times[times.len() / 2].as_secs_f64() * 1e3)
    };
    row("mount", &median(0));
    row("the first read after it", &median(1));

    let small = folder.join("small.volume");
    drop(create(&small)?);
    let (_, time) = timed(|| mount(&small, 64 << 20))?;
    row("yardstick: mount of an empty volume", &format!("{:.2} ms", time.as_secs_f64() * 1e3));
    let ((), time) = timed(|| {
        drop(redb::Database::create(folder.join("small.redb"))?);
        drop(redb::Database::open(folder.join("small.redb"))?);
        Ok(())
    })?;
    row("yardstick: redb, an empty file created and opened", &format!("{:.2} ms", time.as_secs_f64() * 1e3));
    std::fs::remove_file(file)?;
    Ok(())
}
