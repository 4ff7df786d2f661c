//! A run of a volume on a disk that remembers, and what may be found after a power cut in it.

use crate::counter::Counter;
use crate::keys::{Platform, options};
use crate::model::{Model, World};
use crate::random::Random;
use cloister_volume::{Fate, FaultyDisk, MemoryDisk, Options, PowerCut, Volume};
use std::sync::Arc;

/// A world on a disk that remembers, with the moments at which its commits were acknowledged.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) disk: FaultyDisk,
    pub(crate) counter: Option<Counter>,
    pub(crate) world: World,
    commits: Vec<Commit>,
}

#[derive(Debug)]
struct Commit {
    /// Operations of the disk before it was asked for.
    began: usize,
    /// Operations before it was acknowledged.
    acknowledged: usize,
    /// The counter when it was acknowledged.
    counter: u64,
    model: Model,
}

/// The host after a power cut: a disk, and a counter that no power cut changes.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) disk: MemoryDisk,
    pub(crate) counter: Option<Counter>,
    /// How it came about.
    pub(crate) story: String,
}

/// What may be found after a power cut.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// What was acknowledged, and then what would have been next. Empty while the volume was being created.
    pub(crate) models: Vec<Model>,
    /// Whether no volume at all is right, too.
    pub(crate) nothing: bool,
}

impl Recording {
    /// A new volume on a new disk.
    pub(crate) fn create(counter: Option<Counter>) -> Self {
        let disk = FaultyDisk::new(1 << 20);
        let counter = counter.map(|counter| counter.beside(&disk));
        let volume =
            Volume::create(Arc::new(disk.clone()), &Platform, with(&counter)).expect("a volume is created");
        Self::of(disk, counter, World::new(volume))
    }

    /// Mounts what was found. `world` is what went before; its model is what is acknowledged already.
    pub(crate) fn mount(found: &Found, before: &World, model: &Model) -> Result<Self, String> {
        let disk = FaultyDisk::over(&found.disk);
        let counter = found.counter.as_ref().map(|counter| counter.beside(&disk));
        let volume = Volume::mount(Arc::new(disk.clone()), &Platform, with(&counter))
            .map_err(|error| format!("it does not mount: {error}"))?;
        let world = World { volume, model: model.clone(), seen: before.seen.clone() };
        Ok(Self::of(disk, counter, world))
    }

    /// Takes what is there as the state that the run begins with.
    pub(crate) fn begin_again(mut self) -> Self {
        self.disk.forget();
        self.counter = self.counter.map(|counter| counter.forget());
        self.commits.clear();
        self.acknowledge(0);
        self
    }

    fn of(disk: FaultyDisk, counter: Option<Counter>, world: World) -> Self {
        let mut recording = Self { disk, counter, world, commits: Vec::new() };
        recording.acknowledge(0);
        recording
    }

    pub(crate) fn commit(&mut self) {
        let began = self.disk.operations();
        self.world.volume.commit().expect("a commit succeeds");
        self.acknowledge(began);
    }

    /// All that is there is durable from here on, and was being made so since the disk's operation `began`.
    pub(crate) fn acknowledge(&mut self, began: usize) {
        self.commits.push(Commit {
            began,
            acknowledged: self.disk.operations(),
            counter: self.counter.as_ref().map_or(0, Counter::present),
            model: self.world.model.clone(),
        });
    }

    /// What a cut may leave: disks, each with each value that the counter can have then.
    pub(crate) fn found(&self, cut: &PowerCut, limit: usize, random: &mut Random) -> Vec<Found> {
        let counters = match &self.counter {
            None => vec![None],
            Some(counter) => counter.possible(cut.moment()).map(Some).collect(),
        };
        cut.fates(limit, &mut || random.next())
            .iter()
            .flat_map(|fates| {
                let disk = cut.disk(fates);
                counters.iter().map(move |counter| Found {
                    disk: disk.fork(),
                    counter: counter.as_ref().map(Counter::copy),
                    story: story(cut, fates, counter.as_ref()),
                })
            })
            .collect()
    }

    /// What is right after a cut at this moment, with the counter at this value.
    pub(crate) fn allowed(&self, moment: usize, counter: Option<&Counter>) -> Allowed {
        let counter = counter.map_or(u64::MAX, Counter::present);
        let done = |commit: &&Commit| commit.acknowledged <= moment && commit.counter <= counter;
        let acknowledged = self.commits.iter().take_while(done).count();
        let last = acknowledged.checked_sub(1).map(|last| &self.commits[last]);
        let next = self.commits.get(acknowledged).filter(|commit| commit.began < moment);
        let models = last.into_iter().chain(next).map(|commit| commit.model.clone()).collect();
        Allowed { models, nothing: last.is_none() }
    }
}

impl Found {
    /// The same once more, as nothing has happened to either yet.
    pub(crate) fn copy(&self) -> Self {
        Self {
            disk: self.disk.fork(),
            counter: self.counter.as_ref().map(Counter::copy),
            story: self.story.clone(),
        }
    }

    /// Mounts it: it must be exactly one of the allowed states, undamaged, and usable.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn examine(&self, allowed: &Allowed, before: &World) -> Result<Model, String> {
        let mount = || Volume::mount(Arc::new(self.disk.clone()), &Platform, with(&self.counter));
        let volume = match mount() {
            Ok(volume) => volume,
            Err(_) if allowed.nothing => return Ok(Model::default()),
            Err(error) => return Err(format!("it does not mount: {error}")),
        };
        let model = allowed.which(&volume, before)?;
        check(&volume)?;
        let mut world = World { volume, model: model.clone(), seen: before.seen.clone() };
        world.create_dataset("afterwards");
        let id = world.create_object("afterwards", [7; 64]);
        world.write("afterwards", id, 5000, b"written after the power cut");
        world.volume.commit().map_err(|error| format!("the next commit fails: {error}"))?;
        let World { volume, model: next, seen } = world;
        drop(volume);
        let volume = mount().map_err(|error| format!("it does not mount a second time: {error}"))?;
        match next.difference(&volume, &seen) {
            None => Ok(model),
            Some(what) => Err(format!("after another commit: {what}")),
        }
    }
}

impl Allowed {
    /// Which of the states a volume is in.
    pub(crate) fn which(&self, volume: &Volume, before: &World) -> Result<Model, String> {
        let differences: Vec<_> =
            self.models.iter().map(|model| (model, model.difference(volume, &before.seen))).collect();
        match differences.iter().find(|(_, difference)| difference.is_none()) {
            Some((model, _)) => Ok((*model).clone()),
            None => Err(format!(
                "neither the acknowledged state nor the one in progress: {:?}",
                differences.iter().map(|(_, difference)| difference).collect::<Vec<_>>()
            )),
        }
    }
}

/// Reads every block of the last commit.
pub(crate) fn check(volume: &Volume) -> Result<u64, String> {
    let report = volume.check(&mut |_, _| {}).map_err(|error| format!("it cannot be checked: {error}"))?;
    if report.damaged != 0 || !report.damage.is_empty() {
        return Err(format!("{} damaged blocks: {:?}", report.damaged, report.damage));
    }
    if report.unreachable != 0 {
        return Err(format!("{} blocks are used by nothing", report.unreachable));
    }
    Ok(report.blocks)
}

pub(crate) fn with(counter: &Option<Counter>) -> Options {
    Options { anchor: counter.as_ref().map(Counter::provider), ..options() }
}

fn story(cut: &PowerCut, fates: &[Fate], counter: Option<&Counter>) -> String {
    let counter =
        counter.map_or_else(String::new, |counter| format!(", the counter at {}", counter.present()));
    let fates: Vec<_> = cut.unsynced().iter().zip(fates).take(100).collect();
    format!("a power cut after {} operations{counter}; {fates:?}", cut.moment())
}
