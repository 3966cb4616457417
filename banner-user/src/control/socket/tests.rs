use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn the_socket_its_lock_and_its_directory_are_the_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("banner/banner.sock");
    let socket = Socket::bind(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&root.path().join("banner/banner.sock.lock")), 0o600);
    assert_eq!(mode(&root.path().join("banner")), 0o700);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_leaves_the_first_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("banner.sock");
    let first = Socket::bind(&path).unwrap();
    let error = Socket::bind(&path).unwrap_err();
    assert_eq!(error, BindError::AlreadyRunning { path: path.as_path().into(), pid: Some(std::process::id()) });
    assert!(error.to_string().contains(&format!("(process {}) already serves", std::process::id())));
    tokio::net::UnixStream::connect(&path).await.unwrap();
    drop(first);
    Socket::bind(&path).unwrap();
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("banner.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _socket = Socket::bind(&path).unwrap();
    tokio::net::UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("banner.sock");
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(Socket::bind(&path).unwrap_err(), BindError::NotASocket(path.as_path().into()));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_directory_that_others_can_change_is_refused() {
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let error = Socket::bind(&root.path().join("banner.sock")).unwrap_err();
    assert!(matches!(error, BindError::OpenDirectory { mode: 0o1777, .. }), "{error}");
}

#[tokio::test]
async fn every_other_failure_names_the_path_and_a_remedy() {
    let error = |path: &str| Socket::bind(Path::new(path)).unwrap_err().to_string();
    assert!(error("banner.sock").contains("has no directory"));
    assert!(error("/nonexistent/a/b.sock").contains("cannot make the directory /nonexistent/a: No such file"));
    let root = tempfile::tempdir().unwrap();
    let long = root.path().join("a".repeat(120));
    assert!(Socket::bind(&long).unwrap_err().to_string().contains("shorter than 108 bytes"));
}

/// Whether a client that opens the path comes to this socket.
async fn is_reached(socket: &Socket, path: &Path) -> bool {
    let connecting = tokio::net::UnixStream::connect(path);
    let (connected, accepted) = tokio::join!(connecting, async {
        tokio::time::timeout(std::time::Duration::from_millis(100), socket.listener.accept()).await
    });
    connected.is_ok() && accepted.is_ok()
}

#[tokio::test]
async fn a_socket_whose_file_is_gone_or_anothers_is_made_anew() {
    type Meddle = fn(&Path);
    let removed: Meddle = |path| std::fs::remove_file(path).unwrap();
    let replaced: Meddle = |path| {
        std::fs::remove_file(path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    };
    let removed_with_its_lock: Meddle = |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(lock_path(path)).unwrap();
    };
    let removed_with_its_directory: Meddle = |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    for meddle in [removed, replaced, removed_with_its_lock, removed_with_its_directory] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("banner/banner.sock");
        let mut socket = Socket::bind(&path).unwrap();
        assert!(socket.is_in_place() && is_reached(&socket, &path).await);
        meddle(&path);
        assert!(!socket.is_in_place() && !is_reached(&socket, &path).await);
        socket.bind_again().unwrap();
        assert!(socket.is_in_place() && is_reached(&socket, &path).await);
        assert_eq!((mode(&path), mode(&lock_path(&path))), (0o600, 0o600));
        let second = Socket::bind(&path).unwrap_err();
        assert!(matches!(second, BindError::AlreadyRunning { .. }), "{second}");
        drop(socket);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_path_that_another_daemon_has_by_now_is_left_to_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("banner.sock");
    let mut first = Socket::bind(&path).unwrap();
    std::fs::remove_file(lock_path(&path)).unwrap();
    let second = Socket::bind(&path).unwrap();
    assert!(!first.is_in_place());
    assert!(matches!(first.bind_again(), Err(BindError::AlreadyRunning { .. })));
    assert!(second.is_in_place() && is_reached(&second, &path).await);
    drop(second);
    first.bind_again().unwrap();
    let third = Socket::bind(&path).unwrap_err();
    assert!(matches!(third, BindError::AlreadyRunning { .. }), "{third}");
    assert!(first.is_in_place());

    // One that ends leaves another's socket alone.
    std::fs::remove_file(lock_path(&path)).unwrap();
    let second = Socket::bind(&path).unwrap();
    drop(first);
    assert!(second.is_in_place());
}
