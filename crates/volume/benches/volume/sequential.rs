//! A large file, written and read from its beginning to its end.

use crate::{create, dataset, mount, new_object, noise, row, throughput, timed, title};
use cloister_volume::{BLOCK, Options};
use graviola::aead::AesGcm;
use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

const LENGTH: u64 = 256 << 20;
const PIECE: usize = 64 << 10;

pub(crate) fn compare(folder: &Path) -> Result<(), Box<dyn Error>> {
    title(&format!("{} MiB in pieces of {} KiB", LENGTH >> 20, PIECE >> 10));
    let piece = noise(PIECE);
    let offsets = || (0..LENGTH).step_by(PIECE);

    let file = folder.join("sequential.volume");
    let volume = create(&file)?;
    let (written, id) = new_object(&volume)?;
    volume.commit()?;
    let ((), time) = timed(|| {
        for offset in offsets() {
            if volume.is_crowded() {
                volume.commit()?;
            }
            written.write(&volume.begin(), id, offset, &piece)?;
        }
        volume.commit()?;
        Ok(())
    })?;
    row("volume: write, and commit", &throughput(LENGTH, time));
    drop((written, volume));

    let volume = mount(&file, 512 << 20)?;
    let cold = dataset(&volume)?;
    let read = || {
        let mut into = vec![0; PIECE];
        for offset in offsets() {
            let length = cold.read(id, offset, &mut into)?;
            assert!(length == PIECE && into == piece, "what is read is not what was written");
        }
        Ok(())
    };
    row("volume: read, freshly mounted", &throughput(LENGTH, timed(read)?.1));
    row("volume: read again, a cache that holds all", &throughput(LENGTH, timed(read)?.1));
    drop((cold, volume));
    let volume = mount(&file, Options::default().cache_bytes)?;
    let small = dataset(&volume)?;
    let ((), time) = timed(|| {
        let mut into = vec![0; PIECE];
        for offset in offsets() {
            small.read(id, offset, &mut into)?;
        }
        Ok(())
    })?;
    row("volume: read, freshly mounted, a cache of 64 MiB", &throughput(LENGTH, time));

    aes_gcm()?;
    plain_file(folder, &piece)?;
    std::fs::remove_file(file)?;
    Ok(())
}

/// The same library on blocks in memory.
fn aes_gcm() -> Result<(), Box<dyn Error>> {
    let cipher = AesGcm::new(&[7; 32]);
    let mut blocks = noise(PIECE);
    let mut tags = vec![[0; 16]; PIECE / BLOCK];
    let rounds = LENGTH / PIECE as u64;
    let ((), time) = timed(|| {
        for round in 0..rounds {
            for (number, (block, tag)) in blocks.chunks_exact_mut(BLOCK).zip(&mut tags).enumerate() {
                cipher.encrypt(&nonce(round, number), b"", block, tag);
            }
        }
        Ok(())
    })?;
    row("yardstick: AES-256-GCM of 4 KiB blocks in memory, sealing", &throughput(LENGTH, time));
    let mut scratch = blocks.clone();
    let ((), time) = timed(|| {
        for _ in 0..rounds {
            scratch.copy_from_slice(&blocks);
            for (number, (block, tag)) in scratch.chunks_exact_mut(BLOCK).zip(&tags).enumerate() {
                let opened = cipher.decrypt(&nonce(rounds - 1, number), b"", block, tag);
                opened.map_err(|_| "a block does not open")?;
            }
        }
        Ok(())
    })?;
    row("yardstick: AES-256-GCM of 4 KiB blocks in memory, opening", &throughput(LENGTH, time));
    Ok(())
}

fn nonce(round: u64, number: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&round.to_le_bytes());
    nonce[8] = number as u8;
    nonce
}

fn plain_file(folder: &Path, piece: &[u8]) -> Result<(), Box<dyn Error>> {
    let path = folder.join("sequential.plain");
    let ((), time) = timed(|| {
        let mut file = File::create(&path)?;
        for _ in (0..LENGTH).step_by(PIECE) {
            file.write_all(piece)?;
        }
        Ok(file.sync_all()?)
    })?;
    row("yardstick: plain file, write, and sync_all", &throughput(LENGTH, time));
    let ((), time) = timed(|| {
        let mut file = File::open(&path)?;
        let mut into = vec![0; PIECE];
        for _ in (0..LENGTH).step_by(PIECE) {
            file.read_exact(&mut into)?;
            assert!(into == piece, "what is read is not what was written");
        }
        Ok(())
    })?;
    row("yardstick: plain file, read", &throughput(LENGTH, time));
    std::fs::remove_file(path)?;
    Ok(())
}
