//! Which container this process runs in.

/// The id, from the text of `/proc/self/mountinfo`, else from that of `/proc/self/cgroup`. The
/// engine mounts three files of each container's own folder into it; the host name may be anything.
pub(super) fn own_id(mountinfo: &str, cgroup: &str) -> Option<String> {
    mountinfo.lines().find_map(by_mount).or_else(|| cgroup.lines().find_map(by_cgroup))
}

/// `… <root> <mount point> …` with root `/…/containers/<id>/hostname`.
fn by_mount(line: &str) -> Option<String> {
    let mut fields = line.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    if !["/etc/hostname", "/etc/resolv.conf", "/etc/hosts"].contains(&point) {
        return None;
    }
    let rest = &root[root.find("/containers/")? + "/containers/".len()..];
    id(rest.split('/').next()?)
}

/// `<n>:<controllers>:/docker/<id>` or `…/docker-<id>.scope`.
fn by_cgroup(line: &str) -> Option<String> {
    let last = line.rsplit('/').next()?;
    id(last.trim_start_matches("docker-").trim_end_matches(".scope"))
}

fn id(text: &str) -> Option<String> {
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn found_by_its_mounts() {
        let mounts = format!(
            "721 720 0:52 / / rw - overlay overlay rw\n\
             731 721 254:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw\n"
        );
        assert_eq!(own_id(&mounts, "0::/\n").as_deref(), Some(ID));
    }

    #[test]
    fn found_by_its_cgroup() {
        for line in [format!("12:pids:/docker/{ID}"), format!("0::/system.slice/docker-{ID}.scope")] {
            assert_eq!(own_id("", &line).as_deref(), Some(ID), "{line}");
        }
    }

    #[test]
    fn the_folder_of_all_containers_mounted_elsewhere_tells_nothing() {
        let mounts = format!("1 2 3:4 /var/lib/docker/containers/{ID}/hostname /mnt/hostname rw - ext4 /dev/a rw");
        assert_eq!(own_id(&mounts, "0::/user.slice\n1:name=systemd:/docker/short"), None);
    }
}
