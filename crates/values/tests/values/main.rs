//! Values of real component types: the fixture is a component of which every export takes one argument.

mod costs;
mod errors;
mod fixture;
mod hostile;
mod mapping;
mod properties;
mod types;
mod wave_errors;
