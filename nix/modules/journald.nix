# The journal is on /var and must not fill it.
{
  # A drop-in, because the options for journald's settings have moved between releases.
  environment.etc."systemd/journald.conf.d/10-snowglobe.conf".text = ''
    [Journal]
    Storage=persistent
    SystemMaxUse=500M
    SystemKeepFree=1G
    MaxRetentionSec=1month
  '';
}
