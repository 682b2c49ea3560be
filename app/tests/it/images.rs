//! Images compared, and what building one would take.

use crate::html::{assert_sound, tags};
use crate::pages::show;
use crate::world::ID;
use app::routes;
use http::StatusCode;

#[tokio::test]
async fn two_images_are_compared_package_by_package_or_the_page_says_why_not() {
    let id = model::image::ImageId(ID);
    let page = show(&routes::image_diff(id, id)).await.html;
    for told in [
        "1 changed, 600 added, 1 removed, kernel 6.12.1 → 6.12.3, −1 GiB",
        "3 GiB → 2 GiB (−1 GiB)",
        "<dd>unknown<",
        ">1.0<",
        ">no version<",
        "−3 MiB",
        "… and 100 more",
        "2 packages stay in their versions",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert_eq!(tags(&page).iter().filter(|t| t.get("class") == Some("package-name")).count(), 502);
    let other = model::image::ImageId(uuid::Uuid::from_u128(8));
    let unknown = show(&routes::image_diff(id, other)).await;
    assert_eq!(unknown.status, StatusCode::OK);
    assert_sound("images that cannot be compared", &unknown.html);
    assert!(unknown.html.contains("<div class=\"empty\"><p>&lt;script&gt;"), "{}", unknown.html);
    assert_eq!(show("/images/1/diff/2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_difference_folds_into_one_line() {
    use leptos::prelude::RenderHtml as _;
    let html = app::parts::closure::fold(&crate::world::closure_diff()).to_html();
    assert!(html.starts_with("<details class=\"fold\"><summary>1 changed, 600 added"), "{html:.200}");
    let same = app::parts::closure::fold(&Default::default()).to_html();
    assert!(same.starts_with("<p class=\"none\">The same packages"), "{same}");
}

#[tokio::test]
async fn an_image_is_compared_with_the_one_before_it_of_the_same_profiles_and_mode() {
    let html = show("/images").await.html;
    let compared = format!("/images/{}/diff/{ID}", uuid::Uuid::from_u128(8));
    let links: Vec<String> = tags(&html)
        .iter()
        .filter_map(|t| t.get("href"))
        .filter(|href| href.contains("/diff/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(links, [compared]);
}

#[tokio::test]
async fn a_forecast_says_what_there_is_to_do_and_how_long_it_has_taken() {
    use leptos::prelude::RenderHtml as _;
    use model::forecast::{BuildWork, Forecast, Outlook};
    let told = |outlook, usual| app::parts::forecast::forecast(&Forecast { outlook, usual }).to_html();
    let work = BuildWork { to_build: 1, to_fetch: 340, download: 3 << 20, unpacked: 9 << 20 };
    let html = told(Outlook::Known(work), Some(250_000));
    assert!(
        html.contains("1 derivation to build, 340 store paths to fetch (3 MiB to download, 9 MiB unpacked).")
    );
    assert!(html.contains("usually takes 4 min 10 s here."), "{html}");
    assert!(
        told(Outlook::Known(BuildWork::default()), None)
            .contains("Everything that it needs is in the Nix store.")
    );
    assert!(
        told(Outlook::Known(BuildWork { to_fetch: 1, ..Default::default() }), None)
            .contains(">1 store path to fetch.")
    );
    assert!(!told(Outlook::Built, Some(1)).contains("usually"));
    assert!(told(Outlook::Asked, None).contains("again in a moment"));
    assert!(told(Outlook::Unknown("<b>".to_owned()), None).contains("not known: &lt;b&gt;"));
}

#[tokio::test]
async fn the_form_of_a_build_shows_what_its_image_would_take_and_keeps_its_values() {
    let query = "intent=build&profiles=docker&profiles=podman&mode=mutable&forecast=true";
    let html = show(&format!("/images?{query}")).await.html;
    assert_sound("images with a forecast", &html);
    assert!(html.contains("is not known: &lt;script&gt;") && html.contains("4 min 10 s here."), "{html}");
    let checked: Vec<String> = tags(&html)
        .iter()
        .filter(|t| t.get("checked").is_some())
        .filter_map(|t| Some(t.get("value")?.to_owned()))
        .collect();
    assert_eq!(checked, ["docker", "podman", "mutable"]);
    let wrong = show("/images?profiles=No+Name&mode=mutable&forecast=true").await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(wrong.html.contains("class=\"field-error\"") && !wrong.html.contains("is not known"));
    assert!(!show("/images").await.html.contains("is not known"));
}
