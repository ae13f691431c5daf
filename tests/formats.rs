//! Layouts, archives and exports against files as they come: made here, made by the real tools, and broken in every way.

mod common;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};

fn sample() -> ImageSpec {
    ImageSpec::new("acme/api:v1").layer(&[("etc/motd", b"hello"), ("bin/api", &[7; 3000])]).layer(&[("data", b"")]).label("a", "b")
}

#[test]
fn the_sample_images_are_always_the_same_bytes() {
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        assert_eq!(oci_archive(&[sample()], pack), oci_archive(&[sample()], pack));
    }
    assert_eq!(docker_archive(&[sample()]), docker_archive(&[sample()]));
}
