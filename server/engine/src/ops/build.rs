//! `build`: an image, kept until someone removes it.

use super::check::check_image;
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::Nothing;
use crate::machine::facts::Facts;
use crate::steps::{Step, image};
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Build;

impl Op for Build {
    fn steps(&self) -> &'static [Cell] {
        const { &[(&image::BUILD, Nothing)] }
    }

    fn plan(&self, operation: &Operation, facts: &Facts, _: &mut Plan) -> Result<(), Refusal> {
        check_image(operation, facts)
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        image::what(step, operation, facts)
    }
}
