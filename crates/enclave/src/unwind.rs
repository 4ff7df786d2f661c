//! Unwinding in the image: tells the unwinder where the image's own tables are, so that a panic ends one call and not
//! the enclave.

use unwinding::custom_eh_frame_finder::{
    EhFrameFinder, FrameInfo, FrameInfoKind, set_custom_eh_frame_finder,
};

/// Must be the first statement of `main`: a panic before it aborts.
pub(crate) fn register() {
    // A second registration would fail and leave the first in force.
    let _ = set_custom_eh_frame_finder(&ImageTables);
}

struct ImageTables;

// SAFETY: the addresses are those of the image's own `.eh_frame_hdr` and text, which never change.
unsafe impl EhFrameFinder for ImageTables {
    fn find(&self, pc: usize) -> Option<FrameInfo> {
        // SAFETY: EDP's entry code defines these symbols, and the image's builder fills them in before it is measured.
        let (base, text, text_size, table) = unsafe {
            let base = &raw const IMAGE_BASE as usize;
            (base, base + TEXT_BASE as usize, TEXT_SIZE as usize, base + EH_FRM_HDR_OFFSET as usize)
        };
        (text..text + text_size)
            .contains(&pc)
            .then_some(FrameInfo { text_base: Some(base), kind: FrameInfoKind::EhFrameHdr(table) })
    }
}

unsafe extern "C" {
    static IMAGE_BASE: u8;
    static TEXT_BASE: u64;
    static TEXT_SIZE: u64;
    static EH_FRM_HDR_OFFSET: u64;
}
