//! The rest of the engine at which the process dies.

use std::time::Duration;

use tender::engine::{Channel, Host, Me, Result, Seen};
use tender::job::{ContainerSpec, ExecSpec};

use super::Stops;

impl Host for Stops {
    async fn me(&self) -> Result<Option<Me>> {
        self.call(self.fake.me()).await
    }
    async fn attach_once(
        &self,
        name: &str,
        spec: &ContainerSpec,
        timeout: Duration,
        sink: &mut dyn FnMut(Channel, &[u8]),
    ) -> Result<i64> {
        self.call(self.fake.attach_once(name, spec, timeout, sink)).await
    }
    async fn exec_create(&self, id_or_name: &str, spec: &ExecSpec) -> Result<String> {
        self.call(self.fake.exec_create(id_or_name, spec)).await
    }
    async fn exec_start(&self, exec: &str, sink: &mut dyn FnMut(Channel, &[u8])) -> Result<i64> {
        self.call(self.fake.exec_start(exec, sink)).await
    }
    async fn exec_look(&self, exec: &str) -> Result<Option<i64>> {
        self.call(self.fake.exec_look(exec)).await
    }
    async fn project(&self, project: &str) -> Result<Vec<Seen>> {
        self.call(self.fake.project(project)).await
    }
    async fn project_volumes(&self, project: &str) -> Result<Vec<String>> {
        self.call(self.fake.project_volumes(project)).await
    }
    async fn has_volume(&self, name: &str) -> Result<bool> {
        self.call(self.fake.has_volume(name)).await
    }
    async fn rename(&self, id: &str, name: &str) -> Result<()> {
        self.call(self.fake.rename(id, name)).await
    }
    async fn image_id(&self, image: &str) -> Result<Option<String>> {
        self.call(self.fake.image_id(image)).await
    }
    async fn image_tag(&self, image: &str, name: &str) -> Result<()> {
        self.call(self.fake.image_tag(image, name)).await
    }
    async fn image_untag(&self, name: &str) -> Result<()> {
        self.call(self.fake.image_untag(name)).await
    }
    async fn image_names(&self, prefix: &str) -> Result<Vec<String>> {
        self.call(self.fake.image_names(prefix)).await
    }
    async fn tail(&self, id: &str, lines: usize) -> Result<String> {
        self.call(self.fake.tail(id, lines)).await
    }
}
