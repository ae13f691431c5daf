//! Docker-archives in the shape every engine and tool reads: `DIFFID/layer.tar` uncompressed, `CONFIG.json`, `manifest.json`.

use std::collections::HashSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::check::{Checked, Sink, copy_layer, read_config};
use super::tarout::{self, Open};
use crate::model::{Digest, Name, Problem};
use crate::source::Ctx;
use crate::source::content::{Content, Packed, read_document};

/// What a docker-archive is written to.
pub(super) trait Archive: Sink {
    fn start(&mut self, path: &str, diff_id: &Digest) -> io::Result<Open>;
    fn end(&mut self, open: Open, path: &str, size: u64) -> io::Result<()>;
}

/// A file: sizes are put in once they are known.
impl Archive for crate::source::sink::AtomicFile {
    fn start(&mut self, _: &str, _: &Digest) -> io::Result<Open> {
        tarout::open(self)
    }

    fn end(&mut self, open: Open, path: &str, size: u64) -> io::Result<()> {
        tarout::close(self, open, path, size)
    }
}

/// A stream: sizes must have been found before.
struct Stream<'a> {
    out: &'a mut dyn Write,
    checked: &'a Checked,
    announced: u64,
    failed: &'a dyn Fn(io::Error) -> Problem,
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Sink for Stream<'_> {
    fn failed(&self, error: io::Error) -> Problem {
        (self.failed)(error)
    }
}

impl Archive for Stream<'_> {
    fn start(&mut self, path: &str, diff_id: &Digest) -> io::Result<Open> {
        let unchecked = || io::Error::other(format!("the layer {diff_id} was not checked before it was sent"));
        self.announced = self.checked.layers.get(diff_id).ok_or_else(unchecked)?.uncompressed_size;
        tarout::begin(self.out, path, self.announced)?;
        Ok(Open { at: 0 })
    }

    fn end(&mut self, _: Open, path: &str, size: u64) -> io::Result<()> {
        if size != self.announced {
            return Err(io::Error::other(format!("{path} changed while it was sent")));
        }
        tarout::end_file(self.out, size)
    }
}

/// Sends images as a docker-archive. `checked` must come from [`super::check()`] on the same images; `failed` says what a failed write means.
///
/// # Errors
/// What can't be read or is not what its digest says, a failed write, or the caller's wish to stop; `out` has then got a broken archive.
pub fn docker_stream(
    content: &dyn Content,
    images: &[Packed],
    checked: &Checked,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> Problem,
    ctx: &Ctx,
    doing: &str,
) -> Result<(), Problem> {
    let mut stream = Stream { out, checked, announced: 0, failed };
    write(content, images, &mut stream, ctx, doing)?;
    stream.flush().map_err(failed)
}

pub(super) fn write(content: &dyn Content, images: &[Packed], out: &mut dyn Archive, ctx: &Ctx, doing: &str) -> Result<(), Problem> {
    let mut written = HashSet::new();
    let mut listed: Vec<(Digest, Vec<String>, Vec<String>)> = Vec::new();
    for image in images {
        let names = tags(&image.names);
        if let Some((_, known, _)) = listed.iter_mut().find(|(id, ..)| *id == image.config.digest) {
            known.extend(names);
            continue;
        }
        let config = read_config(content, image, doing)?;
        let mut paths = Vec::with_capacity(image.layers.len());
        for (layer, diff_id) in image.layers.iter().zip(&config.diff_ids) {
            let path = format!("{}/layer.tar", diff_id.hex());
            if written.insert(diff_id.clone()) {
                let open = out.start(&path, diff_id).map_err(|error| out.failed(error))?;
                let found = copy_layer(content, layer, diff_id, ctx, doing, &mut Through(out))?;
                out.end(open, &path, found.uncompressed_size).map_err(|error| out.failed(error))?;
            }
            paths.push(path);
        }
        let bytes = read_document(content, &image.config, doing)?;
        let path = format!("{}.json", image.config.digest.hex());
        tarout::file(&mut Through(out), &path, &bytes).map_err(|error| out.failed(error))?;
        listed.push((image.config.digest.clone(), names, paths));
    }
    let items = listed.into_iter().map(|(id, names, layers)| {
        let names = if names.is_empty() { Value::Null } else { json!(names) };
        json!({"Config": format!("{}.json", id.hex()), "RepoTags": names, "Layers": layers})
    });
    let manifest = Value::Array(items.collect()).to_string();
    let finished = tarout::file(&mut Through(out), "manifest.json", manifest.as_bytes()).and_then(|()| tarout::end(&mut Through(out)));
    finished.map_err(|error| out.failed(error))
}

/// The names a docker-archive can carry: tagged references. A bare tag, as a layout may have it, is not one.
pub(super) fn tags(names: &[Name]) -> Vec<String> {
    let tagged = names.iter().filter(|name| {
        let (repository, tag) = name.split();
        tag.is_some() && !repository.is_empty() && !name.raw().contains('@') && name.reference().is_ok()
    });
    tagged.map(|name| name.raw().to_owned()).collect()
}

struct Through<'a>(&'a mut dyn Archive);

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Through<'_> {
    fn failed(&self, error: io::Error) -> Problem {
        self.0.failed(error)
    }
}
