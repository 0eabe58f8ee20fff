//! Output to its very end.
//!
//! While a container ends, the engine's follow mode now and then closes the stream before the last
//! lines (measured on 20.10, under load). Its log is complete once the container has ended, so only
//! a pass that began after that is the last one; what earlier passes gave is dropped from it.

use std::pin::Pin;
use std::time::Duration;

use bollard::query_parameters::LogsOptions;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::{Docker, frames};
use crate::engine::{Channel, Frame, Life, Result, Runs};

/// How long an end is waited for before the next pass over a container that seems to run.
const SETTLE: Duration = Duration::from_secs(1);

type Frames<'a> = Pin<Box<dyn Stream<Item = Result<Frame>> + 'a>>;

struct Follow<'a> {
    docker: &'a Docker,
    id: String,
    cursor: Cursor,
    pass: Option<Pass<'a>>,
    passes: u32,
}

struct Pass<'a> {
    frames: Frames<'a>,
    /// It began after the container had ended.
    last: bool,
}

impl Docker {
    pub(super) fn follow(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        let follow = Follow { docker: self, id: id.to_owned(), cursor: Cursor::at(since_ns), pass: None, passes: 0 };
        stream::try_unfold(Some(follow), |follow| async {
            match follow {
                Some(mut follow) => Ok(follow.next().await?.map(|frame| (frame, Some(follow)))),
                None => Ok(None),
            }
        })
    }

    /// One pass over the log, asked for when it is polled.
    pub(super) fn pass(&self, id: &str, since_ns: i64) -> impl Stream<Item = Result<Frame>> {
        let id = id.to_owned();
        stream::once(async move { self.logs(&id, since_ns).await }).try_flatten()
    }

    /// One request for the log.
    async fn logs(&self, id: &str, since_ns: i64) -> Result<Frames<'_>> {
        // The client library knows whole seconds only; the fraction is put into the request here.
        let since = format!("since={}&", frames::unix_time(since_ns));
        let client = self.client().await?.with_request_modifier(move |mut request| {
            if let Ok(uri) = request.uri().to_string().replace("since=0&", &since).parse() {
                *request.uri_mut() = uri;
            }
            request
        });
        let options =
            LogsOptions { follow: true, stdout: true, stderr: true, timestamps: true, ..LogsOptions::default() };
        let pieces = client.logs(id, Some(options));
        Ok(Box::pin(pieces.map(|piece| piece.map_err(|e| self.wrong(e)).and_then(frames::frame))))
    }
}

impl<'a> Follow<'a> {
    async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let Some(pass) = &mut self.pass else {
                match self.begin().await? {
                    Some(pass) => self.pass = Some(pass),
                    None => return Ok(None),
                }
                continue;
            };
            match pass.frames.next().await {
                Some(frame) => {
                    let frame = frame?;
                    if self.cursor.is_new(&frame) {
                        return Ok(Some(frame));
                    }
                }
                None if pass.last => return Ok(None),
                None => self.pass = None,
            }
        }
    }

    /// The next pass; `None` when the container went away after the first one.
    async fn begin(&mut self) -> Result<Option<Pass<'a>>> {
        let running = |seen: &crate::engine::Seen| seen.life == Life::Running;
        let mut seen = self.docker.look(&self.id).await?;
        if self.passes > 0 && seen.as_ref().is_some_and(running) {
            // Nearly always it is about to end; else the stream was closed too early by far.
            if let Ok(ended) = tokio::time::timeout(SETTLE, self.docker.exit(&self.id)).await {
                ended?;
            }
            seen = self.docker.look(&self.id).await?;
        }
        if self.passes > 0 && seen.is_none() {
            return Ok(None);
        }
        self.passes += 1;
        let last = !seen.as_ref().is_some_and(running);
        let frames = self.docker.logs(&self.id, self.cursor.begin()).await?;
        Ok(Some(Pass { frames, last }))
    }
}

/// What was given already, per stream: both keep their own order, but not one among them.
struct Cursor {
    since_ns: i64,
    out: Place,
    err: Place,
}

/// The last time in a stream, how many frames carry it, and how many of those came again.
#[derive(Default)]
struct Place {
    last: Option<i64>,
    count: usize,
    again: usize,
}

impl Cursor {
    fn at(since_ns: i64) -> Self {
        Self { since_ns, out: Place::default(), err: Place::default() }
    }

    /// From when a further pass has to begin.
    fn begin(&mut self) -> i64 {
        (self.out.again, self.err.again) = (0, 0);
        let from = |place: &Place| place.last.unwrap_or(self.since_ns);
        from(&self.out).min(from(&self.err)).max(self.since_ns)
    }

    fn is_new(&mut self, frame: &Frame) -> bool {
        let place = match frame.channel {
            Channel::Out => &mut self.out,
            Channel::Err => &mut self.err,
        };
        match place.last {
            Some(last) if frame.time_ns < last => false,
            Some(last) if frame.time_ns == last => {
                place.again += 1;
                let new = place.again > place.count;
                place.count = place.count.max(place.again);
                new
            }
            _ => {
                *place = Place { last: Some(frame.time_ns), count: 1, again: 1 };
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(spec: &[(bool, i64)]) -> Vec<Frame> {
        // Each stream is in order; among them anything goes.
        let mut frames = Vec::new();
        let (mut out, mut err) = (10, 10);
        for (n, (is_out, step)) in spec.iter().enumerate() {
            let (channel, time) = if *is_out { (Channel::Out, &mut out) } else { (Channel::Err, &mut err) };
            *time += step;
            frames.push(Frame { channel, time_ns: *time, bytes: n.to_string().into_bytes() });
        }
        frames
    }

    proptest! {
        #[test]
        fn every_frame_is_given_once_however_often_the_stream_is_cut(
            spec in proptest::collection::vec((any::<bool>(), 0i64..3), 0..40),
            cuts in proptest::collection::vec(0usize..40, 0..5),
        ) {
            let all = frames(&spec);
            let mut cursor = Cursor::at(0);
            let mut given = Vec::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let since = cursor.begin();
                let pass = all.iter().filter(|f| f.time_ns >= since).take(cut);
                given.extend(pass.filter(|f| cursor.is_new(f)).cloned());
            }
            let of = |frames: &[Frame], channel| -> Vec<Frame> {
                frames.iter().filter(|f| f.channel == channel).cloned().collect()
            };
            for channel in [Channel::Out, Channel::Err] {
                prop_assert_eq!(of(&given, channel), of(&all, channel));
            }
        }
    }
}
