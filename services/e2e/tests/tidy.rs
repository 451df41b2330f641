//! What the architecture forbids, checked over `cargo metadata` and the tree itself.
//!
//! Each rule is an **Invariant** of ARCHITECTURE.md. A rule that fails names the edge or the file, so that the mend is
//! obvious.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

/// Our packages and everything that their normal (neither dev nor build) dependencies reach.
struct Graph {
    direct: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn read() -> Self {
        // Filtered by platform, so that cargo wants no package that a build here would not have fetched.
        let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
        let metadata: Metadata = MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(vec!["--offline".into(), platform])
            .exec()
            .expect("cargo metadata answers");
        let name_of: BTreeMap<_, _> =
            metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect();
        let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in &metadata.resolve.as_ref().expect("a resolved graph").nodes {
            let normal = node
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal))
                .map(|dep| name_of[&dep.pkg].clone());
            direct.entry(name_of[&node.id].clone()).or_default().extend(normal);
        }
        let ours = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
        Self { direct, ours }
    }

    fn reaches(&self, from: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from];
        while let Some(name) = todo.pop() {
            for dep in self.direct.get(name).into_iter().flatten() {
                if seen.insert(dep.as_str()) {
                    todo.push(dep);
                }
            }
        }
        seen
    }

    /// Which of our packages name `dependency` in their manifest.
    fn named_by(&self, dependency: &str) -> Vec<&str> {
        let names = |name: &&String| self.direct.get(*name).is_some_and(|deps| deps.contains(dependency));
        self.ours.iter().filter(names).map(String::as_str).collect()
    }

    fn must_not_reach(&self, from: &str, forbidden: &[&str]) {
        assert!(self.ours.contains(from), "no package {from}");
        let reached = self.reaches(from);
        for name in forbidden {
            assert!(!reached.contains(name), "{from} must not reach {name}");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace root")
}

/// Files of the tree below `folder`, without what git ignores.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                todo.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_gateway_reaches_no_database() {
    let graph = Graph::read();
    graph.must_not_reach(
        "hookstream-gateway",
        &[
            "hookstream-store",
            "hookstream-projection",
            "tokio-postgres",
            "postgres-types",
            "deadpool-postgres",
        ],
    );
}

#[test]
fn the_pure_crates_reach_no_runtime_and_no_broker() {
    let graph = Graph::read();
    for pure in ["hookstream-event", "hookstream-signature", "hookstream-trail"] {
        graph.must_not_reach(pure, &["tokio", "async-nats", "hyper", "tokio-postgres"]);
    }
    graph.must_not_reach("hookstream-event", &["hookstream-signature"]);
}

#[test]
fn each_client_library_is_named_by_one_crate() {
    let graph = Graph::read();
    assert_eq!(graph.named_by("async-nats"), ["hookstream-bus"]);
    for name in ["tokio-postgres", "postgres-types", "deadpool-postgres"] {
        assert_eq!(graph.named_by(name), ["hookstream-store"], "{name}");
    }
}

#[test]
fn libraries_keep_their_barriers() {
    let graph = Graph::read();
    graph.must_not_reach("hookstream-bus", &["hookstream-store", "tokio-postgres", "hookstream-runtime"]);
    graph.must_not_reach("hookstream-store", &["hookstream-bus", "async-nats", "hookstream-runtime"]);
    graph.must_not_reach("hookstream-proofs", &["hookstream-bus", "hookstream-runtime"]);
    graph.must_not_reach("hookstream-runtime", &["hookstream-bus", "hookstream-store", "hookstream-event"]);
    graph.must_not_reach("hookstream-local", &["tokio", "hookstream-bus", "hookstream-store"]);
}

#[test]
fn nothing_depends_on_a_service_but_the_operators_command() {
    let graph = Graph::read();
    for service in ["gateway", "phase-queue", "task-log", "audit", "backend"] {
        let name = format!("hookstream-{service}");
        let dependents: Vec<_> = graph
            .named_by(&name)
            .into_iter()
            .filter(|by| !["hookstream", "hookstream-e2e"].contains(by))
            .collect();
        assert!(dependents.is_empty(), "{name} is named by {dependents:?}");
    }
    for name in &graph.ours {
        for unshipped in ["hookstream-test-support", "hookstream-fuzz-targets"] {
            assert!(!graph.reaches(name).contains(unshipped), "{name} ships {unshipped}");
        }
    }
}

#[test]
fn source_files_fit_in_a_sitting() {
    const LINES_MAX: usize = 500;
    for path in files(&root().join("services"), "rs") {
        let lines = fs::read_to_string(&path).expect("a readable file").lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines; split it (at most {LINES_MAX})", path.display());
    }
}

#[test]
fn production_code_neither_unwraps_nor_defers() {
    // Assembled here, so that this file does not find itself.
    let forbidden = [format!("{}!(", "todo"), format!("{}!(", "unimplemented"), format!("#[{}", "ignore")];
    for path in files(&root().join("services"), "rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        // Not a test, but a process that another test starts.
        let text = text.replace(&format!("#[{} = \"run by ", "ignore"), "");
        for word in &forbidden {
            assert!(!text.contains(word.as_str()), "{} holds {word}", path.display());
        }
    }
}

/// The cases that `services/gateway/tests/it/main.rs` lists: letter and last number.
const CASES: [(char, u32); 5] = [('T', 13), ('R', 7), ('H', 11), ('J', 9), ('L', 3)];

#[test]
fn every_hostile_case_has_a_test() {
    let mut found = BTreeSet::new();
    for path in files(&root().join("services"), "rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(comment) = line.strip_prefix("///").or_else(|| line.strip_prefix("//")) else {
                continue;
            };
            // A comment in front of a test, with whatever else stands between them.
            let rest = lines[at..].iter().find(|line| !line.starts_with("//"));
            if !rest.is_some_and(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test")) {
                continue;
            }
            let words = comment.split([' ', ',', ':', '.']).filter(|word| !word.is_empty());
            found.extend(words.map_while(|word| {
                let number: u32 = word.get(1..)?.parse().ok()?;
                Some((word.chars().next()?, number))
            }));
        }
    }
    for (letter, last) in CASES {
        let missing: Vec<u32> = (1..=last).filter(|number| !found.contains(&(letter, *number))).collect();
        assert!(missing.is_empty(), "no test says that it covers {letter}{missing:?}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in files(&root(), "md") {
        let text = fs::read_to_string(&document).expect("a readable document");
        let folder = document.parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            assert!(folder.join(path).exists(), "{} links to {path}, which is absent", document.display());
        }
    }
}
