//! Paths in the model.

use super::{Id, Model, Outcome, ROOT, What};

/// The directory, the last name (`None`: the directory itself), what is there, and whether it must be a directory.
pub(super) struct At {
    pub(super) directory: Id,
    pub(super) name: Option<String>,
    pub(super) node: Option<Id>,
    pub(super) slash: bool,
}

/// What becomes of the end of a path.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) follow: bool,
    pub(super) makes_file: bool,
}

impl Model {
    /// `stack` holds the directories from the root to here.
    pub(super) fn walk(&mut self, stack: &mut Vec<Id>, path: &str, way: Way, links: &mut u32) -> Outcome<At> {
        if path.is_empty() {
            return Err("NoEntry");
        }
        let slash = path.ends_with('/');
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        for (number, step) in steps.iter().enumerate() {
            let here = *stack.last().ok_or("NotPermitted")?;
            let is_last = number + 1 == steps.len();
            if *step == "." || *step == ".." {
                if *step == ".." {
                    if stack.len() == 1 {
                        return Err("NotPermitted");
                    }
                    stack.pop();
                }
                continue;
            }
            if is_last && slash && way.makes_file {
                return Err("IsDirectory");
            }
            check_name(step)?;
            let node = self.entries(here)?.get(*step).copied();
            if let Some(id) = node
                && let What::Symlink(target) = self.nodes[&id].what.clone()
                && (!is_last || way.follow || slash)
            {
                *links += 1;
                if *links > 40 {
                    return Err("Loop");
                }
                let found = self.walk(
                    stack,
                    &target,
                    Way { follow: true, makes_file: way.makes_file && is_last },
                    links,
                )?;
                if is_last {
                    return Ok(At { slash: slash || found.slash, ..found });
                }
                self.descend(stack, found.node.ok_or("NoEntry")?, found.name.is_some())?;
                continue;
            }
            if is_last {
                return Ok(At { directory: here, name: Some((*step).to_owned()), node, slash });
            }
            self.descend(stack, node.ok_or("NoEntry")?, true)?;
        }
        let here = *stack.last().ok_or("NotPermitted")?;
        Ok(At { directory: here, name: None, node: Some(here), slash: true })
    }

    pub(super) fn descend(&mut self, stack: &mut Vec<Id>, id: Id, is_below: bool) -> Outcome<()> {
        self.entries(id)?;
        if is_below {
            stack.push(id);
        }
        Ok(())
    }

    pub(super) fn at(&mut self, path: &str, follow: bool) -> Outcome<At> {
        self.walk(&mut vec![ROOT], path, Way { follow, makes_file: false }, &mut 0)
    }

    pub(super) fn node(&mut self, path: &str, follow: bool) -> Outcome<Id> {
        let at = self.at(path, follow)?;
        let id = at.node.ok_or("NoEntry")?;
        if at.slash && self.letter(id) != 'd' {
            return Err("NotDirectory");
        }
        Ok(id)
    }

    /// The last step is not looked at, so a link there is not followed even before a slash.
    pub(super) fn parent(&mut self, path: &str) -> Outcome<At> {
        let slash = path.ends_with('/');
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() {
            return Err("NoEntry");
        }
        let last = trimmed.rsplit('/').next().unwrap_or(trimmed);
        let before = &trimmed[..trimmed.len() - last.len()];
        let mut stack = vec![ROOT];
        if !before.is_empty() {
            let found = self.walk(
                &mut stack,
                &format!("{before}/."),
                Way { follow: true, makes_file: false },
                &mut 0,
            )?;
            debug_assert!(found.name.is_none());
        }
        let directory = stack[stack.len() - 1];
        if last == "." || last == ".." {
            let up = (last == "..").then(|| "..".to_owned());
            return Ok(At { directory, name: None, node: up.map(|_| stack.len() - 1), slash });
        }
        let node = self.entries(directory)?.get(last).copied();
        Ok(At { directory, name: Some(last.to_owned()), node, slash })
    }

    /// [`Model::parent`], and the name is one that can be.
    pub(super) fn parent_of_name(&mut self, path: &str) -> Outcome<At> {
        let at = self.parent(path)?;
        at.name.as_deref().map_or(Ok(()), check_name)?;
        Ok(at)
    }
}

pub(super) fn check_name(name: &str) -> Outcome<()> {
    if name.len() > 255 { Err("NameTooLong") } else { Ok(()) }
}
