//! An `env.local` that is a symlink into a private checkout, by way of others.

use std::fs;

use crate::house::{Stack, problems, variable};

#[test]
fn several_hops_and_the_files_next_to_the_last() {
    let stack = Stack::new("symlinks");
    let loaded = stack.load();
    assert_eq!(problems(&loaded), "");
    let root = stack.root.path().canonicalize().unwrap();
    let real = root.join("private/site/env.d");
    assert_eq!(variable(&loaded, "REAL").unwrap().0, real.to_str().unwrap());
    assert_eq!(variable(&loaded, "COMMON").unwrap().0, "1");
    for file in [real.join("next.env"), root.join("private/common.env")] {
        assert!(loaded.files.contains(&file), "{}", file.display());
    }
}

#[test]
fn each_hop_that_is_missing_is_named() {
    let stack = Stack::new("symlinks");
    let root = stack.root.path().canonicalize().unwrap();
    let unseen = || stack.collect(&stack.request()).unseen;
    fs::rename(root.join("private"), root.join("away")).unwrap();
    assert_eq!(unseen(), [root.join("private/site/current/env.local")]);
    fs::rename(root.join("hop"), root.join("away/hop")).unwrap();
    assert_eq!(unseen(), [root.join("hop/env.local")]);
}

#[test]
fn a_private_checkout_is_found_by_its_end() {
    let stack = Stack::new("symlinks");
    let root = stack.root.path().canonicalize().unwrap();
    fs::create_dir(root.join("private/.git")).unwrap();
    assert_eq!(stack.collect(&stack.request()).private, Some(root.join("private")));
}
