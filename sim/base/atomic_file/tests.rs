//! What stood at a path before, and what stands there after.

use super::*;

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("moesim-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_failure_leaves_neither_a_part_nor_a_loss() {
    let folder = folder("whole");
    fs::create_dir_all(folder.join("taken/full")).unwrap();
    write(&folder.join("a.txt"), "first").unwrap();
    write(&folder.join("a.txt"), "second").unwrap();
    assert_eq!(fs::read_to_string(folder.join("a.txt")).unwrap(), "second");
    // A folder cannot be replaced by a file, and nothing of the attempt stays.
    assert!(write(&folder.join("taken"), "lost").is_err());
    assert_eq!(names(&folder), ["a.txt", "taken"]);
    assert!(folder.join("taken/full").exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_of_the_users_with_a_likely_name_is_not_taken_for_ours() {
    let folder = folder("tmp");
    fs::write(folder.join("a.svg.tmp"), "the user's").unwrap();
    write(&folder.join("a.svg"), "ours").unwrap();
    assert_eq!(fs::read_to_string(folder.join("a.svg.tmp")).unwrap(), "the user's");
    assert_eq!(names(&folder), ["a.svg", "a.svg.tmp"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_that_belong_together_are_all_there_or_none() {
    let folder = folder("together");
    let inside = folder.join("new/deeper");
    fs::create_dir(folder.join("taken")).unwrap();
    let mut files = Together::in_folder(&inside).unwrap();
    files.add(&inside.join("a.toml"), "a").unwrap();
    assert!(files.add(&folder.join("taken"), "b").is_err());
    drop(files);
    assert_eq!(names(&folder), ["taken"], "a failure leaves files or folders");
    let mut files = Together::in_folder(&inside).unwrap();
    files.add(&inside.join("a.toml"), "a").unwrap();
    files.add(&inside.join("b.parquet"), "b").unwrap();
    files.keep().unwrap();
    assert_eq!(names(&inside), ["a.toml", "b.parquet"]);
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_mode_is_kept_and_a_new_file_gets_what_the_mask_leaves() {
        let folder = folder("mode");
        let secret = folder.join("secret.json");
        fs::write(&secret, "old").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        write(&secret, "new").unwrap();
        assert_eq!((mode(&secret), fs::read_to_string(&secret).unwrap().as_str()), (0o600, "new"));
        write(&folder.join("ours"), "new").unwrap();
        fs::write(folder.join("plain"), "new").unwrap();
        assert_eq!(mode(&folder.join("ours")), mode(&folder.join("plain")));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn links_stay_and_what_they_lead_to_is_written() {
        let folder = folder("links");
        fs::create_dir(folder.join("there")).unwrap();
        fs::write(folder.join("there/old"), "old").unwrap();
        symlink("there/old", folder.join("one")).unwrap();
        symlink("one", folder.join("two")).unwrap();
        symlink("there/new", folder.join("dangling")).unwrap();
        symlink("circle", folder.join("circle")).unwrap();
        write(&folder.join("two"), "new").unwrap();
        write(&folder.join("dangling"), "made").unwrap();
        assert!(write(&folder.join("circle"), "lost").is_err());
        for link in ["one", "two", "dangling", "circle"] {
            assert!(folder.join(link).is_symlink(), "{link} was replaced");
        }
        assert_eq!(fs::read_to_string(folder.join("there/old")).unwrap(), "new");
        assert_eq!(fs::read_to_string(folder.join("there/new")).unwrap(), "made");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_written_straight() {
        let folder = folder("pipe");
        let pipe = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert_eq!(names(&folder), ["pipe"]);
        // Through a link too. No test writes to a device of the machine: were this broken, root would
        // replace it.
        symlink("pipe", folder.join("link")).unwrap();
        let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
        write(&folder.join("link"), "again").unwrap();
        assert_eq!(reader.join().unwrap(), "again");
        assert!(folder.join("link").is_symlink());
        fs::remove_dir_all(folder).unwrap();
    }
}
