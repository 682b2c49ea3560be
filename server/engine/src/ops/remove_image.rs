//! `remove_image`: an image that no machine boots.

use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::Forward;
use crate::machine::facts::Facts;
use crate::steps::image;
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct RemoveImage;

impl Op for RemoveImage {
    fn steps(&self) -> &'static [Cell] {
        const { &[(&image::FORGET, Forward)] }
    }

    fn plan(&self, _: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let image = facts.image.as_ref().ok_or(Refusal::NotFound("image"))?;
        if let Some(first) = image.users.first() {
            let others = match image.users.len() - 1 {
                0 => String::new(),
                1 => " and one other machine".to_owned(),
                n => format!(" and {n} other machines"),
            };
            return Err(Refusal::State(format!(
                "The image is used by {first}{others}. Destroy what uses it first, or leave the image."
            )));
        }
        plan.title = format!("Remove image {}", image.title);
        plan.warnings.push("Building it again takes its time once Nix has collected it.".to_owned());
        Ok(())
    }
}
