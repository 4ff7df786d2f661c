//! What other programs are told that the image takes is what it takes.
#![forbid(unsafe_code)]

use cloister_api::{MAX_COMPONENT, SUPPORTED_INTERFACES};
use cloister_runtime::{Settings, supported_interfaces};

#[test]
fn the_list_of_interfaces_is_what_the_image_links() {
    assert_eq!(supported_interfaces(), SUPPORTED_INTERFACES);
}

#[test]
fn the_largest_component_is_what_the_image_takes() {
    assert_eq!(Settings::default().max_component, MAX_COMPONENT);
}
