// The published widget, as its README has an application use it.
import { Inbox, NotificationsProvider } from "@dudousxd/nestjs-notifications-react";
import { createRoot } from "react-dom/client";

const clientOptions = { baseUrl: "/api", credentials: "include" };

createRoot(document.getElementById("root")).render(
  <NotificationsProvider clientOptions={clientOptions} sseUrl="/api/notifications/stream">
    <Inbox />
  </NotificationsProvider>,
);
