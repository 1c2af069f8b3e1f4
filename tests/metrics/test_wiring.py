"""What the daemon tells the metrics sink before anything happens."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cti.core.explained import RULES
from cti.core.mismatch import MismatchReason
from cti.daemon.service import Service
from store import open_store
from tests.daemon.test_service import settings_of, toml


async def test_what_a_comparison_can_say_exists_at_zero(tmp_path: Path) -> None:
    """F1: every reason and every written rule has its series before the first comparison with the books (B4)."""
    config = tmp_path / "cti.toml"
    config.write_text(toml(ami_port=1, http_port=1))  # nothing is served
    settings = settings_of(config)
    async with await open_store(settings.database.full_url) as store:
        service = Service(settings, store)
        text = service.metrics.metrics_text().decode()
        await service.spool.close()
    found = {
        (sample.labels["pbx"], sample.labels.get("reason", sample.labels.get("rule"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in {"cti_reconcile_mismatch_total", "cti_reconcile_explained_total"}
    }
    assert found == dict.fromkeys((("main", name) for name in (*MismatchReason, *RULES)), 0.0)
