require "active_record"

ActiveRecord::Base.establish_connection(ENV["DATABASE_URL"])

class Order < ActiveRecord::Base
end

current_user = Struct.new(:id).new("u_42")
order = Order.find(42)
EXAMPLE
