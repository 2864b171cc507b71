//! Text of a plan.

use std::fmt;

use super::ids::BufferIndex;
use super::ir::{Plan, Role};
use super::task::Work;
use crate::host::text::human_bytes;

/// Prints one line per task. `{plan:#}` also prints the variants of kernels that were chosen.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [variables, inputs, temporaries] = self.bytes().map(human_bytes);
        write!(f, "plan: {} tasks", self.tasks.len())?;
        if self.launches {
            write!(f, ", {} dispatches ({} unfused)", self.dispatches(), self.unfused())?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "memory: variables {variables}, inputs {inputs}, temporaries {temporaries} in {} slots, largest buffer {}",
            self.slots.len(),
            human_bytes(self.largest_binding())
        )?;
        for pass in &self.passes {
            writeln!(f, "  {pass}")?;
        }
        let rows: Vec<[String; 4]> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(i, task)| {
                let join = |ids: Vec<BufferIndex>| {
                    let stored = ids.into_iter().filter(|&id| !matches!(self.buffers[id].role, Role::Passed));
                    let mut names: Vec<_> = stored.map(|id| self.buffer_name(id)).collect();
                    if names.len() > 9 {
                        let more = format!("… ({})", names.len());
                        names.truncate(3);
                        names.push(more);
                    }
                    names.join(", ")
                };
                let main = task.stages.iter().find(|stage| matches!(stage.work, Work::Op { .. }));
                let shape = match &main.unwrap_or(&task.stages[0]).work {
                    Work::Cluster(cluster) => cluster.shape.to_string(),
                    Work::Op { signature, .. } => {
                        signature.outputs.first().map(|spec| spec.shape.to_string()).unwrap_or_default()
                    }
                    Work::Group(clusters) => {
                        format!("[{}]", clusters.iter().map(|cluster| cluster.shape.numel()).sum::<usize>())
                    }
                };
                let place = format!("{} ← {}", join(task.outputs()), join(task.inputs()));
                let mut label = task.label();
                if f.alternate() {
                    label.extend(task.choices().map(|choice| format!(" [{}]", choice.variant())));
                }
                [format!("{i:>3}"), label, shape, place]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (name, shape) = (width(1), width(2));
        for [i, task, dims, place] in &rows {
            writeln!(f, "{i}  {task:<name$}  {dims:<shape$}  {place}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
