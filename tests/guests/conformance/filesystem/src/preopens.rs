//! `preopens`.

use crate::scratch::preopen;
use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{DescriptorFlags, DescriptorType};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "get-directories",
        functions![
            are_those_expected,
            are_directories,
            are_open_for_reading,
            the_first_is_open_for_changes,
            again_are_the_same_directories,
            again_are_other_handles,
            many_times,
        ],
    )
}

fn are_those_expected() -> Outcome {
    let names: Vec<_> = get_directories().into_iter().map(|(_, path)| path).collect();
    same(names, ["/", "/fixed"])
}

fn are_directories() -> Outcome {
    for (directory, _) in get_directories() {
        same(directory.get_type()?, DescriptorType::Directory)?;
        same(directory.stat()?.type_, DescriptorType::Directory)?;
    }
    Ok(())
}

fn are_open_for_reading() -> Outcome {
    for (directory, _) in get_directories() {
        holds("it can be read", directory.get_flags()?.contains(DescriptorFlags::READ))?;
        directory.read_directory()?;
    }
    Ok(())
}

fn the_first_is_open_for_changes() -> Outcome {
    holds("it can be changed", preopen("/")?.get_flags()?.contains(DescriptorFlags::MUTATE_DIRECTORY))
}

fn again_are_the_same_directories() -> Outcome {
    for ((one, one_path), (other, other_path)) in get_directories().into_iter().zip(get_directories()) {
        same(one_path, other_path)?;
        holds("it is the same directory", one.is_same_object(&other))?;
    }
    Ok(())
}

fn again_are_other_handles() -> Outcome {
    let (first, second) = (get_directories(), get_directories());
    drop(first);
    for (directory, _) in second {
        directory.stat()?;
    }
    Ok(())
}

fn many_times() -> Outcome {
    for _ in 0..200 {
        same(get_directories().len(), 2)?;
    }
    Ok(())
}
