use crate::DeployError;
use wit_component::{DecodedWasm, Output, WitPrinter};
use wit_parser::decoding::decode;

/// The interface of a valid component as WIT text: its world, and the packages that it refers to.
pub(crate) fn wit_text(wasm: &[u8]) -> Result<String, DeployError> {
    let failed = |message: String| DeployError::Wit { message };
    let (resolve, package) = match decode(wasm).map_err(|error| failed(format!("{error:#}")))? {
        DecodedWasm::Component(resolve, world) => {
            let package = resolve.worlds.get(world).and_then(|world| world.package);
            (resolve, package.ok_or_else(|| failed("its world belongs to no package".to_owned()))?)
        }
        DecodedWasm::WitPackage(..) => {
            return Err(failed("it is a WIT package, which has no code".to_owned()));
        }
    };
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
    let mut printer = WitPrinter::new(BoundedText::default());
    printer.print(&resolve, package, &others).map_err(|error| failed(format!("{error:#}")))?;
    if printer.output.overflowed {
        return Err(failed(format!("its WIT is longer than {MAX_WIT} bytes")));
    }
    Ok(printer.output.text)
}

/// Text with an end, so that types which name others many times cannot fill the heap.
#[derive(Default)]
struct BoundedText {
    text: String,
    indent: usize,
    at_line_start: bool,
    overflowed: bool,
}

impl Output for BoundedText {
    fn push_str(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_WIT {
            self.overflowed = true;
        }
        if !self.overflowed {
            self.text.push_str(text);
        }
    }

    fn indent_if_needed(&mut self) -> bool {
        let needed = std::mem::take(&mut self.at_line_start);
        if needed {
            for _ in 0..self.indent {
                self.push_str("  ");
            }
        }
        needed
    }

    fn indent_start(&mut self) {
        self.push_str(" {\n");
        self.indent += 1;
        self.at_line_start = true;
    }

    fn indent_end(&mut self) {
        self.indent = self.indent.saturating_sub(1);
        self.at_line_start = true;
        self.indent_if_needed();
        self.push_str("}\n");
        self.at_line_start = true;
    }

    fn newline(&mut self) {
        self.push_str("\n");
        self.at_line_start = true;
    }
}

/// Longest WIT text of a component, in bytes. All of WASI 0.2 with its comments is about 200,000.
const MAX_WIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_shown() {
        let wasm = wat::parse_str(
            "(component
                (core module $m (func (export \"f\") (param i32) (result i32) local.get 0))
                (core instance $i (instantiate $m))
                (func $f (param \"value\" u32) (result u32) (canon lift (core func $i \"f\")))
                (export \"double-it\" (func $f)))",
        )
        .unwrap();
        let text = wit_text(&wasm).unwrap();
        assert!(text.contains("world root {\n  export double-it: func(value: u32) -> u32;\n}"), "{text}");
    }

    #[test]
    fn what_is_no_component_with_code_is_an_error() {
        assert!(matches!(wit_text(b"\0asm"), Err(DeployError::Wit { .. })));
    }

    #[test]
    fn text_beyond_the_bound_is_not_kept() {
        let mut text = BoundedText::default();
        for _ in 0..=MAX_WIT / 1000 {
            text.push_str(&"x".repeat(1000));
        }
        assert!(text.overflowed && text.text.len() <= MAX_WIT);
    }
}
