//! Reading, writing and everything else of open files.

use crate::scratch::{Directory, READ_WRITE, add, contents};
use crate::wasi::filesystem::types::{Advice, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "read",
        functions![
            from_the_start,
            from_the_middle,
            no_more_than_asked_for,
            nothing,
            at_the_end,
            beyond_the_end,
            over_the_end,
            of_the_largest_length,
            at_the_largest_offset,
            does_not_move_anything,
            a_directory_is_no_file,
        ],
    );
    add(
        cases,
        "write",
        functions![
            to_the_start,
            to_the_middle,
            over_the_end_extends,
            beyond_the_end_leaves_zeros,
            of_nothing,
            of_nothing_beyond_the_end,
            of_a_megabyte,
            at_an_offset_that_no_file_has,
            at_the_largest_offset_of_all,
            is_seen_by_others,
            to_a_directory,
        ],
    );
    add(
        cases,
        "set-size",
        functions![
            grows_with_zeros,
            shrinks,
            to_the_same,
            to_nothing,
            shrinks_and_grows,
            is_sparse,
            to_what_no_file_has,
            of_a_directory,
        ],
    );
    add(
        cases,
        "sync",
        functions![
            a_file,
            a_file_for_reading,
            a_directory,
            data_of_a_file,
            data_of_a_file_for_reading,
            data_of_a_directory
        ],
    );
    add(
        cases,
        "advise",
        functions![every_advice, about_what_is_beyond_the_end, about_nothing, about_a_directory],
    );
    add(cases, "get-type", functions![type_of_a_file, type_of_a_directory]);
}

fn from_the_start(directory: &Directory) -> Outcome {
    let (bytes, _) = directory.put("file", b"bytes")?.read(5, 0)?;
    same(bytes, b"bytes")
}

fn from_the_middle(directory: &Directory) -> Outcome {
    let (bytes, _) = directory.put("file", b"bytes")?.read(2, 2)?;
    same(bytes, b"te")
}

fn no_more_than_asked_for(directory: &Directory) -> Outcome {
    let (bytes, at_end) = directory.put("file", b"bytes")?.read(3, 0)?;
    same((bytes, at_end), (b"byt".to_vec(), false))
}

fn nothing(directory: &Directory) -> Outcome {
    let (bytes, _) = directory.put("file", b"bytes")?.read(0, 0)?;
    same(bytes, b"")
}

fn at_the_end(directory: &Directory) -> Outcome {
    same(directory.put("file", b"bytes")?.read(1, 5)?, (Vec::new(), true))
}

fn beyond_the_end(directory: &Directory) -> Outcome {
    same(directory.put("file", b"bytes")?.read(10, 1_000)?, (Vec::new(), true))
}

fn over_the_end(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let (bytes, at_end) = file.read(10, 3)?;
    same(bytes, b"es")?;
    holds("the end is said now or next", at_end || file.read(1, 5)?.1)
}

fn of_the_largest_length(directory: &Directory) -> Outcome {
    let (bytes, _) = directory.put("file", b"bytes")?.read(u64::MAX, 0)?;
    same(bytes, b"bytes")
}

fn at_the_largest_offset(directory: &Directory) -> Outcome {
    match directory.put("file", b"bytes")?.read(1, u64::MAX) {
        Ok(answer) => same(answer, (Vec::new(), true)),
        refused => fails_with_one_of(refused, &[ErrorCode::Invalid, ErrorCode::Overflow]),
    }
}

fn does_not_move_anything(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.read(2, 0)?.0, b"by")?;
    same(file.read(2, 0)?.0, b"by")
}

fn a_directory_is_no_file(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.read(1, 0), &[ErrorCode::IsDirectory, ErrorCode::BadDescriptor])
}

fn to_the_start(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.write(b"B", 0)?, 1)?;
    same(contents(&file)?, b"Bytes")
}

fn to_the_middle(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.write(b"TE", 2)?, 2)?;
    same(contents(&file)?, b"byTEs")
}

fn over_the_end_extends(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.write(b"ES!", 3)?, 3)?;
    same(contents(&file)?, b"bytES!")
}

fn beyond_the_end_leaves_zeros(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"a")?;
    file.write(b"b", 4)?;
    same(contents(&file)?, b"a\0\0\0b")
}

fn of_nothing(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.write(b"", 2)?, 0)?;
    same(contents(&file)?, b"bytes")
}

fn of_nothing_beyond_the_end(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(file.write(b"", 1_000)?, 0)?;
    same(file.stat()?.size, 5)
}

fn of_a_megabyte(directory: &Directory) -> Outcome {
    let bytes: Vec<u8> = (0..1_048_576_u32).map(|at| (at % 253) as u8).collect();
    let file = directory.put("file", &bytes)?;
    same(file.stat()?.size, bytes.len() as u64)?;
    holds("it comes back", contents(&file)? == bytes)
}

fn at_an_offset_that_no_file_has(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    fails(file.write(b"x", 1 << 62), ErrorCode::FileTooLarge)?;
    same(contents(&file)?, b"bytes")
}

fn at_the_largest_offset_of_all(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let codes = [ErrorCode::FileTooLarge, ErrorCode::Invalid, ErrorCode::Overflow];
    fails_with_one_of(file.write(b"x", u64::MAX), &codes)?;
    same(contents(&file)?, b"bytes")
}

fn is_seen_by_others(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let other = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    file.write(b"B", 0)?;
    same(contents(&other)?, b"Bytes")
}

fn to_a_directory(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.write(b"x", 0), &[ErrorCode::IsDirectory, ErrorCode::BadDescriptor])
}

fn grows_with_zeros(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"by")?;
    file.set_size(5)?;
    same(contents(&file)?, b"by\0\0\0")
}

fn shrinks(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_size(2)?;
    same(contents(&file)?, b"by")
}

fn to_the_same(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_size(5)?;
    same(contents(&file)?, b"bytes")
}

fn to_nothing(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_size(0)?;
    same(file.stat()?.size, 0)
}

fn shrinks_and_grows(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_size(2)?;
    file.set_size(4)?;
    same(contents(&file)?, b"by\0\0")
}

fn is_sparse(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"a")?;
    file.set_size(1 << 20)?;
    same(file.stat()?.size, 1 << 20)?;
    same(file.read(4, (1 << 20) - 4)?.0, [0; 4])
}

fn to_what_no_file_has(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    fails_with_one_of(file.set_size(u64::MAX), &[ErrorCode::FileTooLarge, ErrorCode::Invalid])?;
    fails(file.set_size(1 << 62), ErrorCode::FileTooLarge)?;
    same(contents(&file)?, b"bytes")
}

fn of_a_directory(directory: &Directory) -> Outcome {
    let codes = [ErrorCode::IsDirectory, ErrorCode::BadDescriptor, ErrorCode::Invalid];
    fails_with_one_of(directory.set_size(0), &codes)
}

fn a_file(directory: &Directory) -> Outcome {
    Ok(directory.put("file", b"bytes")?.sync()?)
}

fn a_file_for_reading(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    Ok(directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?.sync()?)
}

fn a_directory(directory: &Directory) -> Outcome {
    Ok(directory.sync()?)
}

fn data_of_a_file(directory: &Directory) -> Outcome {
    Ok(directory.put("file", b"bytes")?.sync_data()?)
}

fn data_of_a_file_for_reading(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    Ok(directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?.sync_data()?)
}

fn data_of_a_directory(directory: &Directory) -> Outcome {
    Ok(directory.sync_data()?)
}

fn every_advice(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    for advice in [
        Advice::Normal,
        Advice::Sequential,
        Advice::Random,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::NoReuse,
    ] {
        file.advise(0, 5, advice)?;
    }
    same(contents(&file)?, b"bytes")
}

fn about_what_is_beyond_the_end(directory: &Directory) -> Outcome {
    Ok(directory.put("file", b"bytes")?.advise(1_000, 1_000, Advice::WillNeed)?)
}

fn about_nothing(directory: &Directory) -> Outcome {
    Ok(directory.put("file", b"bytes")?.advise(0, 0, Advice::Normal)?)
}

fn about_a_directory(directory: &Directory) -> Outcome {
    fails_with_one_of(
        directory.advise(0, 1, Advice::Normal),
        &[ErrorCode::BadDescriptor, ErrorCode::IsDirectory, ErrorCode::Invalid],
    )
}

fn type_of_a_file(directory: &Directory) -> Outcome {
    same(directory.open("file", OpenFlags::CREATE, READ_WRITE)?.get_type()?, DescriptorType::RegularFile)
}

fn type_of_a_directory(directory: &Directory) -> Outcome {
    same(directory.get_type()?, DescriptorType::Directory)
}
