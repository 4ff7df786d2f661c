//! From a path to a node: `.`, `..` and symbolic links, never out of the directory that it starts from.

use cloister_volume::ObjectId;

use super::Tree;
use crate::{
    FsError, Kind,
    directory::Slot,
    path::{MAX_STEPS, MAX_SYMLINKS, Path, Step},
};

/// What becomes of a symbolic link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The path means what the link leads to.
    Yes,
    /// The path means the link.
    No,
}

/// The directories from the start of a resolution to where it is now.
#[derive(Debug)]
pub(crate) struct Trail {
    start: ObjectId,
    below: Vec<ObjectId>,
    followed: u32,
    steps: u32,
}

impl Trail {
    pub(crate) fn new(start: ObjectId) -> Trail {
        Trail { start, below: Vec::new(), followed: 0, steps: 0 }
    }

    pub(crate) fn here(&self) -> ObjectId {
        self.below.last().copied().unwrap_or(self.start)
    }

    /// Counts one step of a path or of a link's target.
    fn step(&mut self) -> Result<(), FsError> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(FsError::Loop) } else { Ok(()) }
    }

    fn up(&mut self) -> Result<(), FsError> {
        self.below.pop().map(|_| ()).ok_or(FsError::NotPermitted)
    }
}

/// Where a path ends, before its last step is looked up.
#[derive(Debug)]
pub(crate) struct End<'p> {
    pub(crate) directory: ObjectId,
    pub(crate) last: Step<'p>,
    /// It ends in a slash.
    pub(crate) demands_directory: bool,
}

/// Where a path ends, its last step looked up and links at its end followed as wanted.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: ObjectId,
    pub(crate) target: Target,
    /// It, or a link at its end, ends in a slash.
    pub(crate) demands_directory: bool,
}

#[derive(Debug)]
pub(crate) enum Target {
    /// It ends in `.` or `..`: the directory of the place.
    Itself,
    Entry(Slot),
    /// No entry has this name.
    Free(String),
}

/// What a slash at the end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slash {
    DemandsDirectory,
    Refused,
}

impl Place {
    /// The node that is there.
    ///
    /// # Errors
    ///
    /// [`FsError::NoEntry`], or [`FsError::NotDirectory`] where the path demands one.
    pub(crate) fn node(&self) -> Result<(ObjectId, Kind), FsError> {
        match &self.target {
            Target::Itself => Ok((self.directory, Kind::Directory)),
            Target::Entry(slot) if self.demands_directory && slot.kind != Kind::Directory => {
                Err(FsError::NotDirectory)
            }
            Target::Entry(slot) => Ok((slot.inode, slot.kind)),
            Target::Free(_) => Err(FsError::NoEntry),
        }
    }
}

impl Tree {
    /// Goes all steps of a path but the last.
    pub(crate) fn approach<'p>(&mut self, start: ObjectId, path: &'p str) -> Result<End<'p>, FsError> {
        let mut trail = Trail::new(start);
        self.approach_along(&mut trail, path)
    }

    /// Goes all steps of a path. A slash at its end follows a link there even with [`Follow::No`].
    pub(crate) fn locate(&mut self, start: ObjectId, path: &str, follow: Follow) -> Result<Place, FsError> {
        self.locate_with(start, path, follow, Slash::DemandsDirectory)
    }

    /// [`Tree::locate`] for a file that is made where none is.
    ///
    /// # Errors
    ///
    /// [`FsError::IsDirectory`] where the path, or a link at its end, ends in a slash.
    pub(crate) fn locate_file(
        &mut self,
        start: ObjectId,
        path: &str,
        follow: Follow,
    ) -> Result<Place, FsError> {
        self.locate_with(start, path, follow, Slash::Refused)
    }

    fn locate_with(
        &mut self,
        start: ObjectId,
        path: &str,
        follow: Follow,
        slash: Slash,
    ) -> Result<Place, FsError> {
        let mut trail = Trail::new(start);
        let mut target;
        let mut path = path;
        let mut follow = follow;
        let mut demands_directory = false;
        loop {
            let end = self.approach_along(&mut trail, path)?;
            trail.step()?;
            demands_directory |= end.demands_directory;
            if demands_directory {
                follow = Follow::Yes;
            }
            let name = match end.last {
                Step::Here => return Ok(place_itself(&trail)),
                Step::Up => {
                    trail.up()?;
                    return Ok(place_itself(&trail));
                }
                Step::Name(_) if demands_directory && slash == Slash::Refused => {
                    return Err(FsError::IsDirectory);
                }
                Step::Name(name) => name,
            };
            let found = match self.lookup(trail.here(), name)? {
                Some(slot) if slot.kind == Kind::Symlink && follow == Follow::Yes => slot.inode,
                Some(slot) => {
                    let target = Target::Entry(slot);
                    return Ok(Place { directory: trail.here(), target, demands_directory });
                }
                None => {
                    let target = Target::Free(name.to_owned());
                    return Ok(Place { directory: trail.here(), target, demands_directory });
                }
            };
            target = self.follow(&mut trail, found)?;
            path = &target;
        }
    }

    fn approach_along<'p>(&mut self, trail: &mut Trail, path: &'p str) -> Result<End<'p>, FsError> {
        let path = Path::parse(path)?;
        let (steps, last) = path.split_last();
        for step in steps {
            self.enter(trail, step)?;
        }
        Ok(End { directory: trail.here(), last, demands_directory: path.demands_directory() })
    }

    /// One step that must lead to a directory.
    fn enter(&mut self, trail: &mut Trail, step: Step<'_>) -> Result<(), FsError> {
        trail.step()?;
        let name = match step {
            Step::Here => return Ok(()),
            Step::Up => return trail.up(),
            Step::Name(name) => name,
        };
        let slot = self.lookup(trail.here(), name)?.ok_or(FsError::NoEntry)?;
        match slot.kind {
            Kind::File => Err(FsError::NotDirectory),
            Kind::Directory => {
                trail.below.push(slot.inode);
                Ok(())
            }
            // At most `MAX_SYMLINKS` deep.
            Kind::Symlink => {
                let target = self.follow(trail, slot.inode)?;
                Path::parse(&target)?.steps().try_for_each(|step| self.enter(trail, step))
            }
        }
    }

    fn follow(&self, trail: &mut Trail, link: ObjectId) -> Result<String, FsError> {
        trail.followed += 1;
        if trail.followed > MAX_SYMLINKS {
            return Err(FsError::Loop);
        }
        self.read_link(link)
    }
}

fn place_itself(trail: &Trail) -> Place {
    Place { directory: trail.here(), target: Target::Itself, demands_directory: true }
}
