//! Media types of the field, and what can be read off them.

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether it is the format before 2016.
#[must_use]
pub fn is_schema1(media_type: &str) -> bool {
    matches!(media_type, DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED)
}

#[must_use]
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Whether a blob of this type is a layer of a file system.
#[must_use]
pub fn is_layer(media_type: &str) -> bool {
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."].iter().any(|start| media_type.starts_with(start))
}

/// How a layer of this type says it is compressed: `gzip`, `zstd`, `none`; `None` when the type doesn't say.
#[must_use]
pub fn compression(media_type: &str) -> Option<&'static str> {
    if !is_layer(media_type) {
        return None;
    }
    match media_type.rsplit(['.', '+']).next() {
        Some("gzip") => Some("gzip"),
        Some("zstd") => Some("zstd"),
        Some("tar") => Some("none"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_say_how_they_are_compressed() {
        assert_eq!(compression("application/vnd.oci.image.layer.v1.tar+gzip"), Some("gzip"));
        assert_eq!(compression("application/vnd.docker.image.rootfs.diff.tar.gzip"), Some("gzip"));
        assert_eq!(compression("application/vnd.oci.image.layer.v1.tar+zstd"), Some("zstd"));
        assert_eq!(compression(OCI_LAYER), Some("none"));
        assert_eq!(compression("application/vnd.oci.image.layer.v1.tar+xz"), None);
        assert_eq!(compression("text/plain+gzip"), None);
    }
}
