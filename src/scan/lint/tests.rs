use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::report::Outcome;
use crate::model::{BaseSaid, Digest, Foreign, HistoryEntry, Name, Platform};

/// An image of such a history; what begins with an instruction that only changes settings makes no layer.
fn image(history: &[&str]) -> Image {
    let entry = |by: &&str| {
        let bare = by.strip_prefix("/bin/sh -c #(nop)").unwrap_or(by).trim_start();
        let makes = ["RUN", "COPY", "ADD", "|", "/bin/", "WORKDIR"].iter().any(|start| bare.starts_with(start));
        HistoryEntry {
            created: None,
            created_by: Some(Foreign::new(by)),
            comment: None,
            empty_layer: !makes,
            size: None,
            layer_digest: None,
            diff_id: None,
        }
    };
    Image {
        id: Digest::sha256(b""),
        manifest_digest: None,
        media_type: None,
        tags: Vec::new(),
        repo_digests: Vec::new(),
        created: None,
        platform: None,
        size: None,
        unique_size: None,
        containers: None,
        config: Some(ImageConfig { user: Some("app".into()), healthcheck: Some(vec!["CMD".into()]), ..ImageConfig::default() }),
        layers: None,
        history: Some(history.iter().map(entry).collect()),
        base: None,
    }
}

fn with(change: impl FnOnce(&mut ImageConfig)) -> Image {
    let mut image = image(&[]);
    change(image.config.as_mut().unwrap());
    image
}

/// Finds what begins with `tkn_`.
fn secret_in(text: &str) -> Option<SecretHit> {
    let (before, rest) = text.split_once("tkn_")?;
    let secret = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let before = before.rsplit(' ').next().unwrap_or_default();
    let evidence = Evidence::masked(&format!("{before}tkn_"), secret);
    Some(SecretHit { rule: "test-token", title: "Token of a test", severity: Severity::Critical, evidence })
}

fn facts<'a>() -> Facts<'a> {
    Facts { secret_in: Some(&secret_in), ..Facts::default() }
}

fn told(findings: &[Finding]) -> Vec<String> {
    let evidence = |finding: &Finding| finding.evidence.as_ref().map_or(String::new(), |evidence| format!(": {}", evidence.as_str()));
    findings.iter().map(|finding| format!("{}{}", finding.id.raw(), evidence(finding))).collect()
}

fn of(image: &Image) -> Vec<String> {
    told(&settings(image, None, &facts()))
}

/// Ids of what one `RUN` step is told of.
fn run(script: &str) -> Vec<String> {
    let image = image(&["ADD rootfs.tar /", &format!("RUN /bin/sh -c {script} # buildkit")]);
    settings(&image, None, &facts()).iter().map(|finding| finding.id.raw().to_owned()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn each_rule_has_its_own_id_and_says_what_to_do() {
    let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.title.is_empty() && rule.advice.ends_with(['.', '…']), "{}", rule.id);
    }
}

#[test]
fn who_is_root_is_told() {
    for user in ["", "root", "0", "0:0", "root:root", "0:1000", "00", "+0"] {
        assert_eq!(settings(&with(|config| config.user = Some(user.into())), None, &facts()).len(), 1, "{user}");
    }
    assert_eq!(of(&with(|config| config.user = None)), ["user-root: no USER"]);
    for user in ["1000", "1000:0", "app", "app:root", "10001:10001"] {
        assert_eq!(of(&with(|config| config.user = Some(user.into()))), NONE, "{user}");
    }
    let users = BTreeMap::from([("toor".to_owned(), 0), ("app".to_owned(), 10)]);
    let known = Facts { users: Some(&users), ..facts() };
    let of_user = |user: &str| told(&settings(&with(|config| config.user = Some(user.into())), None, &known));
    assert_eq!(of_user("toor:app"), ["user-root: USER toor:app, who is root by /etc/passwd"]);
    assert_eq!(of_user("ghost"), ["user-unknown: USER ghost"]);
    assert_eq!((of_user("app"), of_user("77")), (vec![], vec![]));
    let mut windows = with(|config| config.user = None);
    windows.platform = Some("windows/amd64".parse::<Platform>().unwrap());
    assert_eq!(of(&windows), NONE);
}

#[test]
fn settings_are_told() {
    let of_settings = of(&with(|config| {
        config.exposed_ports = vec!["2222/tcp".into(), "22/tcp".into()];
        config.volumes = vec!["/".into(), "/proc/".into(), "/var/run/docker.sock".into(), "/var/lib/data".into(), "/etc/app".into()];
        config.healthcheck = None;
        config.env = vec!["NODE_TLS_REJECT_UNAUTHORIZED=0".into(), "PYTHONHTTPSVERIFY=1".into()];
        config.labels.insert("org.opencontainers.image.base.name".into(), "docker.io/library/debian:latest".into());
    }));
    assert_eq!(
        of_settings,
        [
            "env-tls-check-off: NODE_TLS_REJECT_UNAUTHORIZED=0",
            "port-22: EXPOSE 22/tcp",
            "sensitive-volume: VOLUME /",
            "sensitive-volume: VOLUME /proc",
            "sensitive-volume: VOLUME /var/run/docker.sock",
            "no-healthcheck",
            "base-latest: docker.io/library/debian:latest",
        ]
    );
    assert_eq!(of(&with(|config| config.healthcheck = Some(vec!["NONE".into()]))), NONE);
    assert_eq!(told(&settings(&image(&[]), Some("latest"), &facts())), ["tag-latest"]);
    assert_eq!(told(&settings(&image(&[]), Some("1.2"), &facts())), NONE);
    let mut on = image(&[]);
    for (name, is) in
        [("debian", true), ("debian:12", false), ("debian@sha256:0000000000000000000000000000000000000000000000000000000000000000", false)]
    {
        on.base = Some(BaseSaid { name: Name::new(name), digest: None });
        assert_eq!(!of(&on).is_empty(), is, "{name}");
    }
}

#[test]
fn secrets_in_settings_and_steps_are_told_and_never_shown() {
    let mut image = image(&[
        "ADD rootfs.tar /",
        "ENV DB_PASSWORD=hunter22 OTHER=a b",
        "ENV OLD_TOKEN=correct horse",
        "ARG NPM_TOKEN=hunter23",
        "RUN |2 NPM_TOKEN=hunter23 API_KEY=hunter24 /bin/sh -c curl -k -u a:hunter25 https://u:hunter26@h.example/hunter24 # buildkit",
        "RUN /bin/sh -c export MY_SECRET=hunter27 && chmod 777 /srv/hunter27 && sudo make SOME_PASSWORD=hunter29 # buildkit",
        "RUN /bin/sh -c echo tkn_hunter28 > /x # buildkit",
    ]);
    let config = image.config.as_mut().unwrap();
    config.env =
        ["DB_PASSWORD=hunter22", "OLD_TOKEN=", "DATABASE_URL=postgres://app:hunter2x@db/app", "PATH=/bin"].map(Foreign::from).into();
    config.labels.insert("deploy.key".into(), "tkn_hunter30".into());
    let findings = settings(&image, None, &facts());
    assert_eq!(
        told(&findings),
        [
            "env-secret: DB_PASSWORD=******** (8 characters)",
            "env-secret: DATABASE_URL=postgres://app:******** (8 characters)",
            "env-secret: OLD_TOKEN=******** (13 characters)",
            "arg-secret: NPM_TOKEN=******** (8 characters)",
            "arg-secret: API_KEY=******** (8 characters)",
            "test-token: deploy.key=tkn_******** (8 characters)",
            "step-secret: curl … https://u:******** (8 characters)",
            "step-secret: MY_SECRET=******** (8 characters)",
            "test-token: tkn_******** (8 characters)",
            "tls-check-off: curl -k -u ******** https://********@h.example/********",
            "chmod-world-writable: chmod 777 /srv/********",
            "sudo: sudo make SOME_PASSWORD=********",
        ]
    );
    assert_eq!(findings[2].layer.as_ref().unwrap().index, Some(0));
    assert_eq!(findings[5].title.raw(), "Token of a test in the label deploy.key");
    let everything = format!("{findings:?} {}", serde_json::to_string(&findings).unwrap());
    assert!(!everything.contains("hunter2") && !everything.contains("hunter3") && !everything.contains("correct horse"), "{everything}");
    // Another secret under the same name is the same finding.
    let other = with(|config| config.env = vec!["DB_PASSWORD=other99".into()]);
    assert_eq!(settings(&other, None, &facts())[0].key, findings[0].key);
}

#[test]
fn what_comes_from_the_network_is_told() {
    let add = |by: &str| of(&image(&["ADD rootfs.tar /", by]));
    assert_eq!(add("ADD https://h.example/a.tar.gz /opt/ # buildkit"), ["add-url: ADD https://h.example/a.tar.gz /opt/"]);
    assert_eq!(add("/bin/sh -c #(nop) ADD 0123 in /app "), ["add-not-copy: ADD 0123 /app"]);
    assert_eq!(add("ADD [\"a b\", \"/app\"]"), ["add-not-copy: ADD a b /app"]);
    for fine in [
        "ADD --checksum=sha256:ab https://h.example/a /a",
        "ADD https://h.example/a.git /a",
        "ADD app.tar.gz /",
        "ADD a.tgz b.txz /",
        "COPY a /b",
    ] {
        assert_eq!(add(fine), NONE, "{fine}");
    }
    assert_eq!(of(&image(&["ADD https://h.example/rootfs.tar.xz /"])).len(), 1);
    for script in [
        "curl -fsSL https://h.example/i.sh | bash",
        "curl https://h.example/i.sh | env A=1 bash -",
        "wget -qO- https://h.example/i.sh | sh -s -- -y",
        "curl https://h.example/i.py | python3",
        "curl https://h.example/i.py | python3 -",
        "curl https://h.example/i | tee /tmp/i | sh -ex",
        "bash <(curl -s https://h.example/i)",
        "bash < <(curl -s https://h.example/i)",
        "sh -c \"$(curl -fsSL https://h.example/i)\"",
        "ruby -e \"$(curl -fsSL https://h.example/i)\"",
        "eval \"$(wget -qO- https://h.example/i)\"",
        ". <(curl https://h.example/i)",
        "bash -lc 'set -e; curl https://h.example/i | sh'",
        "(curl https://h.example/i) | (sh)",
        "echo \"$(curl https://h.example/i)\" | sh",
    ] {
        assert_eq!(run(script), ["curl-pipe-shell"], "{script}");
    }
    assert_eq!(run("curl https://h.example/i.sh | sudo -E bash -"), ["curl-pipe-shell", "sudo"]);
    for script in [
        "curl https://h.example/k | gpg --dearmor -o /k",
        "curl https://h.example/a | tar -xz",
        "curl https://h.example/a | python3 -c 'import sys, json; print(json.load(sys.stdin))'",
        "curl https://h.example/a | perl -ne 'print'",
        "curl https://h.example/a | bash script.sh",
        "curl https://h.example/a -o a && echo '0 a' | sha256sum -c - && sh a",
        "echo 'curl https://h.example/a | sh' > note",
        "version=$(curl https://h.example/v) && make",
        "bash -c \"make V=$(curl https://h.example/v)\"",
        "curl https://h.example/a || sh fallback",
    ] {
        assert_eq!(run(script), NONE, "{script}");
    }
}

#[test]
fn checks_that_are_turned_off_are_told() {
    for script in [
        "curl -k https://h",
        "curl -fsSLk https://h -o x",
        "curl --insecure https://h",
        "wget --no-check-certificate https://h",
        "git -c http.sslVerify=false clone https://h",
        "git config --global http.sslVerify false",
        "npm config set strict-ssl false",
        "npm set strict-ssl=false",
        "pip install --no-cache-dir --trusted-host h.example a",
        "python3 -m pip install --no-cache-dir --trusted-host=h.example a",
        "apt-get install -y --allow-unauthenticated a",
        "apt-get install --force-yes a",
        "apt-get -o Acquire::https::Verify-Peer=false install -y a",
        "NODE_TLS_REJECT_UNAUTHORIZED=0 npm ci",
        "export GIT_SSL_NO_VERIFY=1 && make",
        "dnf install -y --nogpgcheck a && dnf clean all",
        "apk add --no-cache --allow-untrusted a",
    ] {
        assert_eq!(run(script), ["tls-check-off"], "{script}");
    }
    for script in [
        "curl -fsSL -o kernel.k https://h",
        "curl -okernel https://h",
        "curl -sk https://localhost:8443/health",
        "curl -K file",
        "wget -k https://h",
        "git -c http.sslVerify=true clone https://h",
        "npm config set strict-ssl true",
        "pip install --no-cache-dir --trusted-host localhost a",
        "apk add --no-cache --allow-untrusted /tmp/glibc.apk",
        "echo curl -k",
        "NODE_TLS_REJECT_UNAUTHORIZED=1 npm ci",
    ] {
        assert_eq!(run(script), NONE, "{script}");
    }
}

#[test]
fn what_package_managers_leave_is_told() {
    for (script, ids) in [
        ("apt-get update && apt-get install -y a", &["apt-lists-kept"][..]),
        ("apt-get update", &["update-alone", "apt-lists-kept"]),
        ("apt update; echo done", &["update-alone", "apt-lists-kept"]),
        ("apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*", &[]),
        ("apt-get -qq update && apt-get -qqy install a && rm -r /var/lib/apt/lists /tmp/*", &[]),
        ("apt-get update && apt-get install -y a && rm -rf /var/lib/{apt,dpkg,cache}/", &[]),
        ("apt-get update && apt-get install -y a && apt-get distclean", &[]),
        ("apt-get update && apt-get install -y a && find /var/lib/apt/lists -type f -delete", &[]),
        ("rm -rf /var/lib/apt/lists/* && apt-get update && apt-get install -y a", &["apt-lists-kept"]),
        ("apt-get update && ./install.sh", &["apt-lists-kept"]),
        ("bash -c 'apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*'", &[]),
        ("apt-get update && apt-get install a && rm -rf /var/lib/apt/lists/*", &["no-yes"]),
        ("apt-get update && apt-get install $FLAGS a && rm -rf /var/lib/apt/lists/*", &[]),
        ("apt-get update && apt-get dist-upgrade -y && rm -rf /var/lib/apt/lists/*", &["dist-upgrade"]),
        ("apk add a", &["apk-cache-kept"]),
        ("apk add --no-cache a", &[]),
        ("apk --no-cache add a", &[]),
        ("apk add --virtual .b a && apk del .b && rm -rf /var/cache/apk/*", &[]),
        ("apk update", &["update-alone", "apk-cache-kept"]),
        ("apk add --root /mnt --initdb a", &[]),
        ("yum install -y a", &["dnf-cache-kept"]),
        ("yum install -y a && yum clean all", &[]),
        ("microdnf install -y a && rm -rf /var/cache/yum", &[]),
        ("pip install a", &["pip-cache-kept"]),
        ("pip3.11 install a && rm -rf ~/.cache", &[]),
        ("pip install --no-cache-dir a", &[]),
        ("export PIP_NO_CACHE_DIR=1; pip install a", &[]),
        ("python -m pip install a", &["pip-cache-kept"]),
        ("apt-get update && apt-get install -y sudo openssh-server=1:9 && rm -rf /var/lib/apt/lists/*", &["ssh-server", "sudo"]),
        ("apk add --no-cache openssh-client", &[]),
        ("echo apt-get update", &[]),
        ("make update; apt-getx update", &[]),
    ] {
        assert_eq!(run(script), ids, "{script}");
    }
    assert_eq!(
        of(&image(&["ADD rootfs.tar /", "RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y a"])),
        NONE
    );
}

#[test]
fn bytes_in_layers_decide_where_they_are_known() {
    let image = image(&["ADD rootfs.tar /", "ENV A=b", "RUN apt-get update && apt-get install -y a", "RUN pip install a", "COPY a /b"]);
    let of = |caches: &[Cache]| {
        let findings = settings(&image, None, &Facts { caches: Some(caches), ..facts() });
        let about = |finding: &Finding| {
            let layer = finding.layer.as_ref().and_then(|layer| layer.index).unwrap_or(99);
            format!("{} {layer} {} {}", finding.id.raw(), finding.severity.word(), finding.description.raw().split(". ").next().unwrap())
        };
        findings.iter().map(about).collect::<Vec<_>>()
    };
    let cache = |layer, kind, bytes| Cache { layer, kind, bytes };
    assert_eq!(of(&[]), NONE);
    assert_eq!(
        of(&[
            cache(0, CacheKind::AptLists, 3_000_000),
            cache(1, CacheKind::AptLists, 20_000_000),
            cache(1, CacheKind::AptArchives, 5_000_000),
            cache(2, CacheKind::Pip, 1_000_000),
            cache(3, CacheKind::Npm, 2_000),
        ]),
        [
            "apt-lists-kept 1 low It takes 20.0 MB",
            "apt-lists-kept 0 negligible It takes 3.00 MB",
            "apt-packages-kept 1 low It takes 5.00 MB",
            "pip-cache-kept 2 low It takes 1.00 MB",
            "npm-cache-kept 3 low It takes 2.00 kB",
        ]
    );
}

#[test]
fn who_may_write_and_who_may_be_whom_is_told() {
    for (script, ids) in [
        ("chmod -R 777 /srv", &["chmod-world-writable"][..]),
        ("chmod a+rwx /srv && sudo make", &["chmod-world-writable", "sudo"]),
        ("chmod 1777 /tmp && chmod 755 /srv && chmod +x /a", &[]),
        ("d=$(mktemp -d) && chmod 777 \"$d\" && make && rm -rf \"$d\"", &[]),
        ("echo sudo chmod 777", &[]),
        ("useradd -G sudo app", &[]),
    ] {
        assert_eq!(run(script), ids, "{script}");
    }
    let findings = settings(&image(&["RUN chmod 777 /a", "RUN chmod 777 /a", "/bin/sh -c #(nop)  MAINTAINER somebody"]), None, &facts());
    assert_eq!(told(&findings), ["chmod-world-writable: chmod 777 /a", "chmod-world-writable: chmod 777 /a", "maintainer"]);
    assert_ne!(findings[0].key, findings[1].key);
    let layers: Vec<_> = findings.iter().map(|finding| finding.layer.as_ref().unwrap().index).collect();
    assert_eq!(layers, [Some(0), Some(1), Some(1)]);
}

/// Builds as well-kept public images are made: nothing in them is worth more than a note.
#[test]
fn well_kept_builds_are_left_alone() {
    let debian = "RUN # rootfs.sh --arch amd64 out/ stable";
    let runtime = "RUN /bin/sh -c set -eux; \tsaved=\"$(apt-mark showmanual)\"; \tapt-get update; \tapt-get install -y --no-install-recommends \t\tgcc \t\t$(command -v gpg > /dev/null || echo 'gnupg dirmngr') \t; \trm -rf /var/lib/apt/lists/*; \t\twget -O src.tar.xz \"https://h.example/${VERSION%%[a-z]*}/src-$VERSION.tar.xz\"; \techo \"$SHA256 *src.tar.xz\" | sha256sum -c -; \tGNUPGHOME=\"$(mktemp -d)\"; export GNUPGHOME; \tgpg --batch --keyserver hkps://keys.example --recv-keys \"$GPG_KEY\"; \tcase \"$(dpkg --print-architecture | awk -F- '{ print $NF }')\" in \t\tamd64 | arm64) opt=yes ;; \t\t*) echo >&2 \"unknown: '$arch'\"; exit 1 ;; \tesac; \t./configure --with-x; make -j \"$(nproc)\"; \tfind /usr/local -type f -executable -exec ldd '{}' ';' \t\t| awk '/=>/ { so = $(NF-1); print so }' \t\t| sort -u \t\t| xargs -r dpkg-query --search \t\t| xargs -r apt-mark manual \t; \tapt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false; \tpip3 --version # buildkit";
    let packaged = "RUN /bin/sh -c set -x && groupadd --system --gid 101 web && apt-get update && apt-get install --no-install-recommends --no-install-suggests -y ca-certificates && tempDir=\"$(mktemp -d)\" && chmod 777 \"$tempDir\" && ( cd \"$tempDir\" && REPO=\"https://h.example\" bash -x build.sh ) && echo \"deb [trusted=yes] file://$tempDir ./\" > /etc/apt/sources.list.d/temp.list && apt-get -o Acquire::GzipIndexes=false update && apt-get install -y web && rm -rf /var/lib/apt/lists/* /etc/apt/sources.list.d/web.list && if [ -n \"$tempDir\" ]; then apt-get purge -y --auto-remove && rm -rf \"$tempDir\" /etc/apt/sources.list.d/temp.list; fi # buildkit";
    let alpine = "RUN /bin/sh -c set -eux; \tapk add --no-cache --virtual .deps gnupg; \twget -O /usr/local/bin/step \"https://h.example/step-$V\"; \tchmod +x /usr/local/bin/step; \tsu nobody -s /bin/sh -c \" export HOME=/tmp && curl -f -L -O https://h.example/$R.tar.gz && tar xzf x && make \" && apk add -X \"https://h.example/alpine/v$(egrep -o '^[0-9]+\\.[0-9]+' /etc/alpine-release)/main\" --no-cache web; \tapk del --no-network .deps # buildkit";
    let script = "RUN /bin/sh -c ARCH= && case \"${dpkgArch##*-}\" in amd64) ARCH='x64' OPENSSL_ARCH='linux-x86_64';; *) echo \"unsupported\"; exit 1 ;; esac && set -ex && for key in 5BE8A3F6 DD792F59 ; do { gpg --batch --keyserver hkps://keys.example --recv-keys \"$key\" && gpg --batch --fingerprint \"$key\"; } || gpg --batch --keyserver other.example --recv-keys \"$key\" ; done && curl -fsSLO --compressed \"https://h.example/v$V/x-$ARCH.tar.xz\" && grep \" x.tar.xz\\$\" SHASUMS256.txt | sha256sum -c - && tar -xJf x.tar.xz && ln -s /usr/local/bin/a /usr/local/bin/b # buildkit";
    let toolchain = "RUN /bin/sh -c set -eux; url=\"https://h.example/$V/rustup-init\"; wget --progress=dot:giga \"$url\"; echo \"$sha *rustup-init\" | sha256sum -c -; ./rustup-init -y --no-modify-path; chmod -R a+w $RUSTUP_HOME $CARGO_HOME; mkdir -p \"$GOPATH/src\" && chmod -R 1777 \"$GOPATH\" # buildkit";
    let data = "RUN /bin/sh -c install --verbose --directory --owner db --group db --mode 3777 /var/run/db && mkdir /docker-entrypoint-initdb.d # buildkit";
    for steps in [
        &[debian][..],
        &["ADD alpine-minirootfs-3.22.1-x86_64.tar.gz / # buildkit", "CMD [\"/bin/sh\"]", alpine],
        &["/bin/sh -c #(nop) ADD file:0a1b2c in / ", "/bin/sh -c #(nop)  CMD [\"bash\"]", runtime],
        &[
            debian,
            "ENV GPG_KEY=0D96DF4D4110E5C4",
            "ENV VERSION=3.13.1",
            "ENV SHA256=9cf9427bee9e",
            runtime,
            "COPY docker-entrypoint.sh /usr/local/bin/",
        ],
        &[debian, "ENV PKG_RELEASE=1~trixie", packaged, "EXPOSE map[80/tcp:{}]", "STOPSIGNAL SIGQUIT"],
        &[debian, "ARG DOWNLOAD_URL=https://h.example/a.tar.gz", "ARG DOWNLOAD_SHA=e5cae268", script, "WORKDIR /data"],
        &[debian, "ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo", toolchain],
        &[debian, data, "VOLUME [/var/lib/db]", "ENV PGDATA=/var/lib/db/data DB_ALLOW_EMPTY_PASSWORD=no"],
    ] {
        let mut image = image(steps);
        let config = image.config.as_mut().unwrap();
        (config.user, config.healthcheck) = (None, None);
        let worse: Vec<Finding> =
            settings(&image, Some("1.2"), &facts()).into_iter().filter(|finding| finding.severity > Severity::Negligible).collect();
        assert_eq!(told(&worse), ["user-root: no USER"], "{steps:?}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_said() {
    let mut image = image(&["RUN a"]);
    let (kinds, not) = looked_for(&image, &facts());
    assert_eq!(kinds, [FindingKind::Misconfiguration, FindingKind::Lint].into());
    assert_eq!(not.iter().map(|not| not.why.as_str()).collect::<Vec<_>>(), ["/etc/passwd was not read"]);
    (image.config, image.history) = (None, None);
    assert_eq!(settings(&image, None, &Facts::default()), []);
    let (kinds, not) = looked_for(&image, &Facts::default());
    assert_eq!((kinds.len(), not.len()), (0, 3));
}

#[test]
fn a_line_of_the_card_passes_only_where_somebody_looked() {
    let clean = image(&["ADD rootfs.tar /", "COPY a /b"]);
    let outcomes = |known: &Known<'_>| -> String {
        let sign = |check: crate::model::report::Check| match check.outcome {
            Outcome::Pass => 'p',
            Outcome::Fail => 'F',
            Outcome::NotEvaluated => '-',
        };
        card(known).into_iter().map(sign).collect()
    };
    let (nothing, all) = (BTreeSet::new(), FindingKind::ALL.into());
    let nobody =
        Known { image: &clean, findings: &[], looked_for: &nothing, not_looked_for: &[], packages: None, signed: None, layers_read: false };
    assert_eq!(outcomes(&nobody), "-----------------");
    let everybody = Known { looked_for: &all, packages: Some(7), signed: Some(true), layers_read: true, ..nobody };
    assert_eq!(outcomes(&everybody), "p--p-pppp".to_owned() + "p-ppp-pp");
    assert_eq!(outcomes(&Known { layers_read: false, ..everybody }).chars().nth(3), Some('-'));
    let gaps = [crate::model::report::NotLooked::new("vulnerability of Java packages", "they are not read")];
    let told = card(&Known { not_looked_for: &gaps, ..everybody });
    for line in told.iter().filter(|line| matches!(line.id, "CIS 4.4" | "NIST 4.1.1")) {
        assert_eq!(line.outcome, Outcome::NotEvaluated);
        assert!(line.why.as_str().ends_with("not looked for: vulnerability of Java packages"), "{}", line.why.as_str());
    }
    let (kinds, _) = looked_for(&clean, &facts());
    assert_eq!(outcomes(&Known { looked_for: &kinds, ..nobody }), "-----pp-p--------");
    let mut bad = image(&["RUN a", "ADD x /y", "RUN apt-get update", "RUN curl -k https://h"]);
    let config = bad.config.as_mut().unwrap();
    (config.user, config.healthcheck, config.env) = (None, None, vec!["PASSWORD=abc".into()]);
    let mut findings = settings(&bad, None, &facts());
    findings.push(Finding { severity: Severity::Critical, ..Finding::new(FindingKind::Vulnerability, "CVE-2020-1", None, None, "") });
    findings.push(Finding::new(FindingKind::SensitiveFile, "setuid-file", None, Some("a"), ""));
    let found = Known { image: &bad, findings: &findings, signed: Some(false), ..everybody };
    assert_eq!(outcomes(&found), "F--F-FFFFFFFFF-FF");
    let suppressed: Vec<Finding> = findings
        .iter()
        .cloned()
        .map(|finding| Finding {
            suppressed: Some(crate::model::finding::Suppression { by: "a".into(), status: "".into(), reason: "".into(), until: None }),
            ..finding
        })
        .collect();
    assert!(!outcomes(&Known { findings: &suppressed, signed: None, ..found }).contains('F'));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_image_is_looked_at(
        steps in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![
                    Just("RUN "), Just("/bin/sh -c "), Just("#(nop) "), Just("ADD "), Just("ENV "), Just("ARG "), Just("|2 "), Just("A=b "), Just("TOKEN=x "),
                    Just("curl -k "), Just("https://u:p@"), Just("| sh "), Just("apt-get update "), Just("apk add "), Just("chmod 777 "), Just("$("), Just(")"),
                    Just("\""), Just("'"), Just("pip install "), Just("\u{1b}[31m"), Just("é "), Just("["), Just("sudo "), Just("in / "), Just("tkn_a ")
                ],
                0..12,
            ),
            0..6,
        ),
        user in ".{0,12}", variable in ".{0,30}", volume in ".{0,10}",
    ) {
        let steps: Vec<String> = steps.iter().map(|pieces| pieces.concat()).collect();
        let mut image = image(&steps.iter().map(String::as_str).collect::<Vec<_>>());
        let config = image.config.as_mut().unwrap();
        (config.user, config.env, config.volumes) = (Some(user.into()), vec![variable.into()], vec![volume.as_str().into()]);
        let findings = settings(&image, Some("latest"), &facts());
        let mut keys: Vec<_> = findings.iter().map(|finding| finding.key).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), findings.len());
        let known = Known { image: &image, findings: &findings, looked_for: &BTreeSet::new(), not_looked_for: &[], packages: None, signed: None, layers_read: false };
        prop_assert_eq!(card(&known).len(), 17);
    }
}
